"""Serving as a role that can only add to history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from typer.testing import CliRunner

from accounts.models import User
from incidents.models import Incident
from kpis.models import KpiObservation
from majorops.cli import app
from majorops.lib.errors import Invalid
from majorops.lib.grants import grants, rewritable
from majorops.lib.ledger import Ledger, ledgers
from tests.cast import Knock
from tests.factories import TeamFactory

pytestmark = pytest.mark.django_db


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            if sql not in ("BEGIN;", "COMMIT;"):
                cursor.execute(sql)


@pytest.fixture
def role() -> str:
    """A second role without any right. It goes with the test's transaction."""
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has roles")
    run("CREATE ROLE majorops_serves")
    return "majorops_serves"


@pytest.fixture
def serving(role: str) -> Iterator[str]:
    """The connection is of the second role, with the grants that we print."""
    run(*grants(role), f"SET SESSION AUTHORIZATION {role}")
    yield role
    run("RESET SESSION AUTHORIZATION")


# --- The SQL ---


def test_every_ledger_is_granted_by_its_declaration() -> None:
    printed = CliRunner().invoke(app, ["db", "grants", "majorops_app"]).stdout
    assert printed.splitlines() == grants("majorops_app")
    for model in ledgers():
        declared: Ledger = model.ledger  # type: ignore[attr-defined]
        table = f'"public"."{model._meta.db_table}"'
        assert f'GRANT SELECT, INSERT ON {table} TO "majorops_app";' in printed
        assert (f") ON {table} TO" in printed) is bool(declared.mutable or declared.set_once)


def test_a_name_is_quoted_and_one_that_cannot_be_is_refused() -> None:
    assert 'TO "odd""; DROP TABLE users; --";' in grants('odd"; DROP TABLE users; --')[1]
    for wrong in ("", "a\0b", "x" * 64):
        with pytest.raises(Invalid):
            grants(wrong)


# --- The service as that role ---


def test_an_incident_is_opened_paged_and_resolved_as_the_role(
    serving: str,
    mim: User,
    client_as: Knock,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[Any]],
) -> None:
    client, team = client_as(mim), TeamFactory()
    json = {"content_type": "application/json"}
    with django_capture_on_commit_callbacks(execute=True):
        opened = client.post("/api/v1/incidents", {"title": "Uploads fail", "severity": "critical"}, **json)
        where = f"/api/v1/incidents/{opened.json()['id']}"
        paged = client.post(f"{where}/team-pages", {"team": team.slug}, **json)
        arrived = client.post(f"{where}/team-pages/{paged.json()['id']}/arrive", {}, **json)
        resolved = client.post(f"{where}/resolve", {"summary": "It is over."}, **json)
    assert [one.status_code for one in (opened, paged, arrived, resolved)] == [201, 201, 200, 200]
    assert Incident.objects.get().status == "resolved"
    assert KpiObservation.objects.filter(kpi__slug="mttr", is_current=True).exists()


@pytest.mark.parametrize(
    "attack", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}", "ALTER TABLE {} DISABLE TRIGGER ALL"]
)
def test_no_ledger_can_be_rewritten_as_the_role(serving: str, attack: str) -> None:
    for model in ledgers():
        key = model._meta.pk.column
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), transaction.atomic():
            run(attack.format(f'"{model._meta.db_table}"', key, key))


def test_the_role_reads_and_writes_what_is_no_ledger(serving: str, mim: User) -> None:
    User.objects.filter(pk=mim.pk).update(display_name="R. Okafor-Lind")
    assert rewritable(connection) == []
    assert Client().get("/readyz").json() == {"ready": True}


# --- What a role could rewrite ---


def told_by(deploy: bool) -> set[str | None]:
    return {message.id for message in run_checks(databases=["default"], include_deployment_checks=deploy)}


def test_the_owner_of_the_ledgers_is_told(role: str, admin_user: User, page_as: Knock) -> None:
    run(f'ALTER TABLE "audit_events" OWNER TO {role}', *grants(role)[1:4], f"SET SESSION AUTHORIZATION {role}")
    owns, may = rewritable(connection)
    run("RESET SESSION AUTHORIZATION")
    assert owns == "The database role majorops_serves owns audit_events: an owner can switch the guards off."
    assert "may update or delete rows of" in may
    assert "timeline_events" in may
    assert "audit_events" not in may


def test_one_column_too_many_is_told(serving: str) -> None:
    run("RESET SESSION AUTHORIZATION", f"GRANT UPDATE (team_id) ON team_pages TO {serving}")
    run(f"SET SESSION AUTHORIZATION {serving}")
    assert rewritable(connection) == ["The database role majorops_serves may update or delete rows of team_pages."]


def test_a_check_warns_and_is_an_error_before_deployment(role: str) -> None:
    assert "majorops.W011" in told_by(deploy=False)
    assert "majorops.E011" not in told_by(deploy=False)
    assert "majorops.E011" in told_by(deploy=True)


def test_a_role_that_only_serves_passes_the_check(serving: str) -> None:
    assert not {"majorops.W011", "majorops.E011"} & told_by(deploy=True)


def test_off_postgresql_there_is_nothing_to_tell() -> None:
    assert connection.vendor == "postgresql" or rewritable(connection) == []


def test_readiness_tells_an_administrator_only(role: str, admin_user: User, mim: User, client_as: Knock) -> None:
    told = client_as(admin_user).get("/readyz").json()
    assert told["ready"]
    assert "is a superuser" in told["details"][0]
    assert client_as(mim).get("/readyz").json() == Client().get("/readyz").json() == {"ready": True}
