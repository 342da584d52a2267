"""`mim doctor`: each line says how it stands and what to do, and the exit code says whether something is broken."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone
from typer.testing import CliRunner

from majorops.cli import app
from majorops.doctor import Finding, State, drift, examine
from majorops.lib.ledger import remove
from majorops.models import Schedule
from tests.test_cli import mim

pytestmark = pytest.mark.django_db


def found(check: str, now: datetime | None = None) -> list[Finding]:
    return [each for each in examine(now or timezone.now()) if each.check == check]


def test_a_new_installation_has_nothing_broken() -> None:
    assert not [each for each in examine(timezone.now()) if each.state == State.FAIL]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_what_is_weak_or_broken_says_what_to_do() -> None:
    later = timezone.now() + timedelta(days=3)
    told = [each for each in examine(later) if each.state != State.OK]
    assert told
    assert all(each.next_step for each in told)


def test_a_database_without_tables_fails_and_exits_8(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    result = mim("doctor", "--json", DEBUG="1", SECRET_KEY="x" * 50, DATABASE_URL=url)
    broken = [row for row in json.loads(result.stdout) if row["state"] == "FAIL"]
    assert (result.returncode, [row["check"] for row in broken]) == (8, ["migrations"])
    assert "migrate" in broken[0]["next"]


def test_a_database_that_does_not_answer_fails_and_exits_8() -> None:
    result = mim("doctor", DEBUG="1", SECRET_KEY="x" * 50, DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
    assert (result.returncode, result.stdout[:14]) == (8, "FAIL database ")
    assert "Check DATABASE_URL." in result.stdout


def test_a_guard_that_is_missing_fails() -> None:
    remove(connection)
    [guards] = found("ledgers")
    assert (guards.state, "migrate" in guards.next_step) == (State.FAIL, True)


def test_a_slot_that_no_worker_took_fails() -> None:
    assert Schedule.objects.exists()
    [worker] = found("worker", timezone.now() + timedelta(days=2))
    assert (worker.state, worker.next_step) == (State.FAIL, "mim worker")


def test_figures_grow_old() -> None:
    assert found("figures")[0].next_step == "mim kpi backfill --all"


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, State.OK), (2, State.OK), (2.1, State.WARN), (300, State.WARN), (301, State.FAIL)]
)
def test_clocks_apart(seconds: float, state: State) -> None:
    assert drift(timedelta(seconds=seconds), "the database").state == state


def test_settings_fit_for_a_laptop_are_named(settings: LazySettings) -> None:
    told = " ".join(each.told for each in found("settings"))
    assert "MAJOROPS_AUTH_MODE=dev" in told
    settings.MAJOROPS_AUTH_MODE = "access"
    assert "MAJOROPS_AUTH_MODE" not in " ".join(each.told for each in found("settings"))
