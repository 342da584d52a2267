"""What the access proxy's token costs per request: claim_of with a real RS256 signature, keys in memory or file.

One JSON line; the goal is below 300 microseconds. Processor time, so that a busy machine does not change the figure;
`wall_us` is what the clock on the wall says. `python benchmarks/token_verification.py`
"""
# ruff: noqa: E402 - Django needs its settings before the imports.

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(
    DJANGO_SETTINGS_MODULE="majorops.settings", DEBUG="1", MAJOROPS_AUTH_MODE="dev", DATABASE_URL="sqlite://:memory:"
)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import django

django.setup()

from django.http import HttpRequest
from django.test import RequestFactory

from accounts.access import claim_of
from tests.identity import ASSERTION_KEY, access_mode, mint

RUNS, REQUESTS, GOAL = 9, 1000, 300.0


def main() -> None:
    request = RequestFactory().get("/", **{ASSERTION_KEY: mint()})
    with tempfile.TemporaryDirectory() as folder, access_mode(Path(folder)):
        claim_of(request)
        runs = [_run(request) for _ in range(RUNS)]
    spent, wall = (sorted(figures) for figures in zip(*runs, strict=True))
    median = statistics.median(spent)
    told = {"runs": RUNS, "requests_per_run": REQUESTS, "goal_us": GOAL, "is_met": median < GOAL}
    figures = {"median_us": round(median, 1), "fastest_us": round(spent[0], 1), "slowest_us": round(spent[-1], 1)}
    figures["wall_us"] = round(statistics.median(wall), 1)
    print(json.dumps({"benchmark": "token_verification", **figures, **told}))


def _run(request: HttpRequest) -> tuple[float, float]:
    """Microseconds per request, of the processor and of the wall."""
    spent, wall = time.process_time(), time.perf_counter()
    for _ in range(REQUESTS):
        claim_of(request)
    return (time.process_time() - spent) / REQUESTS * 1e6, (time.perf_counter() - wall) / REQUESTS * 1e6


main()
