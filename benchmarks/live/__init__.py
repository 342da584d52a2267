"""Parts of benchmarks/fanout.py."""
