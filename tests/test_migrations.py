"""Migrations are complete, and each one can be taken back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from tests.run import ROOT

APPS = ("kpis", "incidents", "teams", "accounts")


@pytest.mark.django_db
def test_no_model_change_lacks_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.fixture
def empty_database(tmp_path: Path) -> Iterator[str]:
    """The URL of a new database on the engine under test: unapplying everything would ruin the one the tests share."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server = os.environ["DATABASE_URL"]
    name = f"majorops_reversal_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_every_migration_reverses_and_comes_back(empty_database: str) -> None:
    steps = [("migrate",), *(("migrate", app, "zero") for app in APPS), ("migrate",), ("migrate", "--check")]
    script = "import django; django.setup(); from django.core.management import call_command\n"
    script += "\n".join(f"call_command(*{step}, verbosity=0)" for step in steps)
    environment = {**os.environ, "DATABASE_URL": empty_database}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
