"""Response times of single people: for the person, and one audited figure for those who were named. Nothing else."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from typer.testing import CliRunner

from accounts.models import AuditEvent, User
from accounts.roles import CAPABILITIES, Role
from incidents.models import TeamPage
from kpis import personal
from kpis.actions import Editor
from kpis.compute import backfill, recompute_incident
from kpis.models import KpiDefinition, KpiObservation, PersonalGrant
from majorops.cli import app
from majorops.lib.errors import Invalid
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamPageFactory, UserFactory
from tests.pages import Page

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
LOOKS = "/api/v1/response-times/looks"
ASK = {"person": "engineer@example.com", "reason": "Rota for April"}


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON)


def answered(person: User, *minutes: float, days_ago: int = 5, **about: Any) -> list[TeamPage]:
    """Calls that the person answered by themselves."""
    paged_at = NOON - timedelta(days=days_ago)
    return [
        TeamPageFactory(
            user=person, paged_at=paged_at, arrived_at=paged_at + timedelta(minutes=each), arrival_source="self",
            incident=IncidentFactory(closed=True, detected_at=paged_at, **about),
        )
        for each in minutes
    ]  # fmt: skip


def granted(person: User, by: User | None = None) -> PersonalGrant:
    return personal.grant(PersonalGrant(person=person, reason="Plans the rota"), Editor(by, NOON))


def looks(client: Client, **said: str) -> Any:
    return client.post(LOOKS, json.dumps({**ASK, **said}), content_type="application/json")


# --- One's own ---


def test_one_sees_every_answer_and_a_figure_from_five_on(engineer: User) -> None:
    answered(engineer, 2, 3, 4, 5)
    assert not any(figure.is_shown for figure in personal.own(engineer, NOON).figures)
    answered(engineer, 11)
    found = personal.own(engineer, NOON)
    assert [answer.minutes for answer in found.answers].count(11) == 1
    assert {(one.n, one.mean, one.median) for one in found.figures} == {(5, 5, 4)}


def test_of_others_one_sees_nothing(engineer: User, mim: User, client_as: Knock) -> None:
    answered(engineer, 1, 2, 3, 4, 5)
    assert personal.own(mim, NOON).answers == ()
    assert client_as(mim).get("/me/response-times").json()["answers"] == []


def test_restricted_incidents_are_one_s_own_and_in_no_figure(engineer: User) -> None:
    answered(engineer, 1, 2, 3, 4)
    answered(engineer, 99, restricted=True)
    found = personal.own(engineer, NOON)
    assert [answer.counts for answer in found.answers].count(False) == 1
    assert not any(figure.is_shown for figure in found.figures)


def test_older_answers_are_left_out_and_still_in_the_export(engineer: User, settings: Settings) -> None:
    settings.MAJOROPS_PERSONAL_DAYS = 30
    answered(engineer, 2, 3, 4, 5, 6)
    answered(engineer, 60, days_ago=31)
    found = personal.own(engineer, NOON)
    assert sorted(answer.minutes for answer in found.answers) == [2, 3, 4, 5, 6]
    assert {figure.mean for figure in found.figures} == {4}
    exported = personal.export(engineer, NOON)["answers"]
    assert [(one["minutes"], one["kept"]) for one in exported if not one["kept"]] == [(60, False)]


def test_the_page_and_its_files(engineer: User, page_as: Knock) -> None:
    answered(engineer, 2, 3, 4, 5, 6)
    page = Page(page_as(engineer).get("/me/response-times").content.decode())
    assert page.faults == []
    assert "4.0 min" in page.text
    lines = page_as(engineer).get("/me/response-times?format=csv").content.decode().splitlines()
    assert lines[0] == "ref,pagedAt,minutes,confidence,incident,counts,kept"
    assert len(lines) == 6
    assert len(page_as(engineer).get("/me/response-times?format=json").json()["answers"]) == 5


# --- Somebody else's ---


@pytest.mark.parametrize("role", Role.values)
def test_no_role_lets_look(role: str, engineer: User, client_as: Knock, page_as: Knock) -> None:
    person = UserFactory(role=role)
    answered(engineer, 1, 2, 3, 4, 5)
    assert looks(client_as(person)).json()["code"] == "grant_required"
    assert page_as(person).get("/people/response-times").status_code == 403
    assert not AuditEvent.objects.filter(action="personal_kpi_view").exists()
    assert not any("response" in one and "time" in one for one in CAPABILITIES[role])


def test_a_grant_shows_one_figure_and_the_look_is_written_down(
    engineer: User, mim: User, admin_user: User, client_as: Knock
) -> None:
    answered(engineer, 2, 3, 4, 5, 6)
    granted(mim, admin_user)
    told = looks(client_as(mim)).json()
    assert (told["person"], told["figure"]["n"], told["figure"]["meanMinutes"]) == ("engineer@example.com", 5, 4)
    assert told.keys() == {"person", "figure"}
    event = AuditEvent.objects.get(action="personal_kpi_view")
    assert (event.actor_name, event.object_id, event.reason) == (mim.email, engineer.pk, "Rota for April")
    assert [(look.by, look.reason) for look in personal.own(engineer, NOON).looks] == [(mim.email, "Rota for April")]


def test_below_five_even_the_number_is_untold_and_the_look_written_down(engineer: User, mim: User) -> None:
    answered(engineer, 2, 3, 4, 5)
    granted(mim)
    _, figure = personal.look(Editor(mim, NOON), engineer.email, reason="Rota")
    assert (figure.n, figure.mean, figure.median, figure.p90) == (None, None, None, None)
    assert AuditEvent.objects.filter(action="personal_kpi_view").count() == 1


def test_a_look_needs_a_reason_and_a_person(engineer: User, mim: User) -> None:
    granted(mim)
    with pytest.raises(Invalid, match="what you need it for"):
        personal.look(Editor(mim, NOON), engineer.email, reason=" ")
    for email in ("nobody@example.com", "no address"):
        with pytest.raises(personal.NobodyOfThatName):
            personal.look(Editor(mim, NOON), email, reason="Rota")
    assert not AuditEvent.objects.filter(action="personal_kpi_view").exists()


def test_an_ended_grant_or_account_lets_nobody_look(engineer: User, mim: User) -> None:
    row = granted(mim)
    mim.is_active = False
    assert not personal.may_look(mim, NOON)
    mim.is_active = True
    assert personal.end(row, Editor(None, NOON))
    assert not personal.end(row, Editor(None, NOON))
    assert not personal.may_look(mim, NOON)
    assert [
        event.after["mayLook"] for event in AuditEvent.objects.filter(action="visibility_change").order_by("at", "pk")
    ] == [True, False]


def test_nobody_grants_it_to_themselves_or_twice(admin_user: User, mim: User) -> None:
    with pytest.raises(personal.NotToOneself):
        granted(admin_user, by=admin_user)
    granted(mim, by=admin_user)
    with pytest.raises(personal.AlreadyGranted):
        granted(mim, by=admin_user)


def test_the_page_of_a_look(engineer: User, mim: User, page_as: Knock) -> None:
    answered(engineer, 2, 3, 4, 5, 6)
    granted(mim)
    client = page_as(mim)
    assert Page(client.get("/people/response-times").content.decode()).faults == []
    page = Page(client.post("/people/response-times", {"email": engineer.email, "reason": "Rota"}).content.decode())
    assert page.faults == []
    assert "4.0 min" in page.text
    refused = client.post("/people/response-times", {"email": "nobody@example.com", "reason": "Rota"})
    assert refused.status_code == 422
    assert "Nobody has this e-mail address here." in refused.content.decode()


def test_the_command_line_holds_to_the_same_rules(engineer: User, mim: User) -> None:
    answered(engineer, 2, 3, 4, 5, 6)
    run = CliRunner().invoke
    looking = ["user", "response-times", engineer.email, "--as", mim.email, "--reason", "Rota"]
    assert run(app, looking).exit_code == 3
    assert run(app, ["user", "grant-response-times", mim.email, "--reason", "Plans"]).exit_code == 0
    assert "mean 4.0 min" in run(app, looking).stdout
    assert AuditEvent.objects.get(action="personal_kpi_view").actor_name == mim.email
    assert len(json.loads(run(app, [*looking[:3], "--as", engineer.email, "--json"]).stdout)["answers"]) == 5
    assert run(app, ["user", "revoke-response-times", mim.email]).exit_code == 0
    assert run(app, looking).exit_code == 3


# --- No other door ---


def test_nothing_of_a_person_is_stored(engineer: User) -> None:
    """An append-only store could not forget it."""
    (page, *_) = answered(engineer, 1, 2, 3, 4, 5)
    backfill(KpiDefinition.objects.get(slug=personal.SLUG), as_of=NOON)
    recompute_incident(page.incident_id, now=NOON)
    assert not KpiObservation.objects.filter(kpi=personal.SLUG).exists()


def test_what_an_earlier_release_stored_is_retired(engineer: User) -> None:
    answered(engineer, 1)
    definition = KpiDefinition.objects.get(slug=personal.SLUG)
    KpiDefinition.objects.update(is_personal=False)
    assert backfill(KpiDefinition.objects.get(slug=personal.SLUG), as_of=NOON).new
    KpiDefinition.objects.filter(slug=personal.SLUG).update(is_personal=True)
    backfill(definition, as_of=NOON)
    assert not KpiObservation.objects.current().filter(kpi=personal.SLUG).exists()


DOORS = {"kpis/personal_pages.py", "kpis/personal_api.py", "kpis/personal_cli.py", "kpis/admin_personal.py"}


def test_no_other_module_asks_for_a_person_s_time() -> None:
    """The module is imported by its doors, and nobody else loads dispatches of one user or names the KPI."""
    asks = re.compile(
        r"from kpis import .*\bpersonal\b(?!_)|kpis\.personal\b(?!_)|engineer-response-time|Scope\(.*user_id"
    )
    found = {
        str(file.relative_to(ROOT))
        for package in ("accounts", "teams", "incidents", "kpis", "majorops")
        for file in (ROOT / package).rglob("*.py")
        if "migrations" not in file.parts and asks.search(_code(file.read_text()))
    }
    known = {"kpis/personal.py", "kpis/catalog.py", "kpis/admin_forms.py", "majorops/settings.py"}
    assert found - known == DOORS


def _code(text: str) -> str:
    """Without comments, which may speak of it."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
