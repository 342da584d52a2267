"""Alerts of other systems: read, kept, and turned into incidents where a person or a policy says so."""
