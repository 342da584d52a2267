"""What proving a program costs per request: the token, its queries, and the throttle. One JSON line.

Databases: a temporary SQLite file, and the PostgreSQL of tests/run.py.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 2000


def microseconds(work: Callable[[], object]) -> dict[str, float]:
    """Median, mean and 99th percentile of one call."""
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1e6)
    cuts = statistics.quantiles(took, n=100)
    return {"median": round(cuts[49], 1), "mean": round(statistics.mean(took), 1), "p99": round(cuts[98], 1)}


def measure() -> dict[str, dict[str, float]]:
    """On the database of DATABASE_URL, which is made for this."""
    import django

    django.setup()
    from datetime import timedelta

    from django.core.management import call_command
    from django.utils import timezone

    from accounts import throttle, tokens
    from accounts.models import Integration
    from accounts.scopes import Scope

    call_command("migrate", verbosity=0)
    now = timezone.now()
    program = Integration.objects.create(name=f"Benchmark {now}", scopes=[Scope.KPIS_READ.value])
    token, text = tokens.mint(program, by=None, expires_at=now + timedelta(days=1), now=now)
    limit = throttle.Limit(10**9, "requests")
    usual, seconds = throttle.Limit(600, "requests"), itertools.count()

    def refuse() -> None:
        try:
            tokens.service_of_bearer(f"mo_{'0' * 12}_{'A' * 43}", now=now)
        except tokens.InvalidToken:
            return

    return {
        "verify": microseconds(lambda: tokens.service_of_bearer(text, now=now)),
        "refuse_unknown": microseconds(refuse),
        "throttle_swap": microseconds(lambda: throttle.take(f"token:{token.pk}", limit, timezone.now())),
        "throttle_as_used": microseconds(
            # A program that sends eight requests a second, on a clock of its own.
            lambda: throttle.admit(f"usual:{token.pk}", usual, now + timedelta(seconds=next(seconds) / 8))
        ),
    }


def on(url: str) -> dict[str, dict[str, float]]:
    """In a process of its own, for settings are read once."""
    environment = {**os.environ, "DATABASE_URL": url, "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "majorops.settings"}
    command = [sys.executable, __file__, "--measure"]
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, dict[str, float]] = json.loads(told.stdout.splitlines()[-1])
    return found


def main() -> None:
    sys.path.insert(0, str(ROOT))
    if "--measure" in sys.argv:
        from django.conf import settings

        settings.DEBUG = False  # or Django keeps every query in memory
        print(json.dumps(measure()))
        return
    from tests.run import postgresql

    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, object] = {"benchmark": "bearer_token", "unit": "microseconds", "rounds": ROUNDS}
        result["sqlite"] = on(f"sqlite:///{folder}/bench.sqlite3")
        with postgresql() as (url, _):
            result["postgresql"] = on(url)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
