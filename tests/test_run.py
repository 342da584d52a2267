"""The closing line of `make test` tells what ran, and nothing green comes of a run that did not happen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import run
from tests.run import Outcome


def test_the_closing_line_counts_what_is_not_green_first() -> None:
    outcome = Outcome("SQLite 3.40.1", 1, {"passed": 310, "skipped": 2, "failed": 1, "xfailed": 0})
    assert str(outcome) == "SQLite 3.40.1: 1 failed, 310 passed, 2 skipped"


@pytest.mark.parametrize(("sqlite", "postgresql", "expected"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (5, 5, 1)])
def test_one_bad_database_fails_the_run(
    sqlite: int, postgresql: int, expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "on_sqlite", lambda arguments: Outcome("SQLite", sqlite, {"passed": 1}))
    monkeypatch.setattr(run, "on_postgresql", lambda arguments: Outcome("PostgreSQL", postgresql, {}))
    monkeypatch.setattr(run.signal, "signal", lambda *arguments: None)
    assert run.main([]) == expected
    assert capsys.readouterr().out == "\nSQLite: 1 passed; PostgreSQL: no test ran\n"


def test_what_runs_once_is_said_and_left_to_postgresql(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(run, "run_pytest", lambda name, vendor, url, arguments: asked.append(arguments))
    run.on_sqlite(["-q"])
    run.on_sqlite(["tests/browser"])
    assert "On PostgreSQL only: tests/browser " in capsys.readouterr().out
    assert asked == [[*(f"--ignore={path}" for path in run.ONCE), "-q"], ["tests/browser"]]


def test_a_run_on_another_database_than_told_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def pytest_on_sqlite(*command: object, env: dict[str, str], **options: object) -> SimpleNamespace:
        Path(env[run.OUTCOME_FILE]).write_text('{"vendor": "sqlite", "counts": {"passed": 3}}')
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(run.subprocess, "run", pytest_on_sqlite)
    assert run.run_pytest("SQLite", "sqlite", "sqlite://:memory:", []) == Outcome("SQLite", 0, {"passed": 3})
    assert run.run_pytest("PostgreSQL", "postgresql", "sqlite://:memory:", []).exit_code == 1


def test_a_run_that_never_reported_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.subprocess, "run", lambda *command, **options: SimpleNamespace(returncode=0))
    assert run.run_pytest("SQLite", "sqlite", "sqlite://:memory:", []).exit_code == 1


def test_no_postgresql_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
    assert run.on_postgresql([]).exit_code == 1
    assert "No PostgreSQL to test on" in capsys.readouterr().err
