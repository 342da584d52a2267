"""What every test stands on: settings that may start, a database like the real one, the N+1 detector."""

from __future__ import annotations

import inspect
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

# First, for the settings read the environment once: production settings refuse to start here.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "majorops.settings")
os.environ.setdefault("DEBUG", "1")
os.environ.setdefault("MAJOROPS_AUTH_MODE", "dev")
os.environ.setdefault("SECRET_KEY", "for-tests-only-" * 4)

import django
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings

# One count per request: a journey may ask for the same page ten times, a page may not ask for the same row ten times.
settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "zeal"]
settings.MIDDLEWARE = ["zeal.middleware.zeal_middleware", *settings.MIDDLEWARE]
# A handler made here would keep the output stream of the moment, which pytest closes; pytest shows the log itself.
settings.LOGGING_CONFIG = None
django.setup()

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import TransactionTestCase
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from tests import baseline
from tests.cast import admin_user, client_as, engineer, executive, mim, page_as, stakeholder  # noqa: F401
from tests.run import COUNTED, OUTCOME_FILE

# A slow machine is not a failed property.
hypothesis_settings.register_profile("majorops", deadline=None)
hypothesis_settings.load_profile("majorops")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Put SQLite in a file. In memory, Django shares one cache between threads, with locks that files do not have."""
    if connection.vendor == "sqlite":
        file = tmp_path_factory.mktemp("database") / "test.sqlite3"
        settings.DATABASES["default"]["TEST"]["NAME"] = str(file)


@pytest.fixture(scope="session")
def django_db_use_migrations() -> bool:
    """Tables are made from the models, in a tenth of the time. tests/test_migrations.py runs what makes the same."""
    return False


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """As if every migration had run, for whoever asks, in this process or in one of its own."""
    settings.MIGRATION_MODULES = {}
    with django_db_blocker.unblock():
        recorder = MigrationRecorder(connection)
        recorder.ensure_schema()
        for app, name in MigrationLoader(None).graph.nodes:
            recorder.record_applied(app, name)
        _no_job_is_late_today()
        baseline.keep(connection)


def _no_job_is_late_today() -> None:
    """Nobody works here, and the tests may take longer than a job may be late."""
    from majorops.models import Schedule

    Schedule.objects.update(settled_until=timezone.now() + timedelta(days=1))


#: Files that take long, the longest first: none of them shall be left over when the others are done.
LONG = (
    "test_noninterference", "test_every_page", "test_matrix", "browser/test_incident", "test_remote_cli",
    "test_migrations", "incidents/test_views", "browser/test_pages", "kpis/test_admin", "test_demo", "test_races",
    "test_desk", "test_story", "test_access", "test_stream", "test_api_schema", "test_ledger", "test_idempotency",
    "test_api_hostile", "test_worker_processes", "browser/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: min((places[name] for name in LONG if name in item.nodeid), default=len(LONG)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests. Under async_to_sync the ORM stays on this thread, and so in the test's transaction."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    async_to_sync(pyfuncitem.obj)(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
    return True


def pytest_report_header() -> str:
    return f"database: {connection.vendor}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell tests/run.py what happened, and on which database."""
    if OUTCOME_FILE not in os.environ:
        return
    counts = Counter({what: len(terminalreporter.stats.get(what, [])) for what in COUNTED})
    told = {"vendor": connection.vendor, "counts": counts}
    Path(os.environ[OUTCOME_FILE]).write_text(json.dumps(told))


@pytest.fixture(autouse=True)
def _kinds_of_facts_are_read_anew() -> None:
    """A process remembers them for a second; a test that ends takes back what it defined."""
    from kpis.facts import registry

    registry.forget()


@pytest.fixture(autouse=True, scope="session")
def _what_real_transactions_left_is_put_back() -> Iterator[None]:
    """Django's own way empties every table and runs all that follows a migration: a second for each such test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: baseline.restore(connection))
        yield
