"""Why this number: from a stored observation to the rows behind it, for readers with different rights."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from typer.testing import CliRunner

from accounts.models import User
from incidents import actions
from incidents.lifecycle import Phase
from incidents.models import Incident, TeamPage
from kpis.claims import Claim, record_claim
from kpis.cli import app
from kpis.compute import backfill
from kpis.explain import explain
from kpis.models import KpiDefinition, KpiObservation
from kpis.reasons import total_of
from majorops.lib.ledger import unlocked
from teams.models import Membership
from tests.cast import Knock
from tests.factories import IncidentFactory, PhaseEntryFactory, TeamPageFactory, at, stamp
from tests.kpis.test_golden import gathered, promise, resolved
from tests.pages import Page

pytestmark = pytest.mark.django_db
TOMORROW = at("2026-03-04T00:00")


def computed(slug: str, group: str = "") -> KpiObservation:
    backfill(KpiDefinition.objects.get(slug=slug), as_of=TOMORROW)
    return KpiObservation.objects.current().get(kpi=slug, window="all", dims_key=group)


def reasons_of(observation: KpiObservation, viewer: User) -> dict[str, int]:
    return dict(explain(observation, viewer).counts)


# --- The golden examples, row by row ---


def test_g2_mtta_names_the_first_gather_and_who_never_gathered(mim: User) -> None:
    gathered("10:00", (Phase.GATHER, "10:04"), (Phase.ASSESS, "10:12"), (Phase.GATHER, "10:40"))
    gathered("11:00", (Phase.ASSESS, "11:00"))
    found = explain(computed("mtta"), mim)
    (row,) = found.used.named
    assert (row.adds, dict(row.facts)["created_at"]) == (4.0, at("10:04"))
    assert [(row.place, row.reason) for row in found.left_out.named] == [("missing", "no matching end")]


def test_g3_a_negative_duration_is_named_as_such(mim: User) -> None:
    gathered("10:05", (Phase.GATHER, "10:03"), (Phase.GATHER, "10:40"))
    found = explain(computed("mtta"), mim)
    assert (found.today and found.today.value, found.used.total, total_of(found)) == (None, 0, None)
    assert [row.reason for row in found.left_out.named] == ["negative duration"]


@pytest.fixture
def dispatches(db: None) -> list[TeamPage]:
    """G4: one came, one came late without saying so, one said so and never came."""
    incident = IncidentFactory(closed=True, detected_at=at("10:00"))
    times = [("10:01:30", "10:04"), (None, "10:06"), ("10:03", None)]
    return [
        TeamPageFactory(
            incident=incident,
            paged_at=at("10:00"),
            acknowledged_at=acknowledged and at(acknowledged),
            arrived_at=arrived and at(arrived),
        )
        for acknowledged, arrived in times
    ]


def test_g4_teams_that_never_came_stand_beside_the_mean(dispatches: list[TeamPage], mim: User) -> None:
    found = explain(computed("team-page-to-bridge"), mim)
    assert [row.adds for row in found.used.named] == [2.0, 3.0]
    assert total_of(found) == 5.0
    (missing,) = found.left_out.named
    assert (missing.ref, missing.reason) == (f"team_page:{dispatches[2].pk}", "arrived at is empty")
    assert missing.label == f"{dispatches[2].team.name}, {dispatches[2].incident.title}"
    assert missing.url == f"/incidents/{dispatches[2].incident_id}/#teams"


def test_g6_every_promise_is_a_row_and_the_first_milestone_is_none(mim: User) -> None:
    incident = IncidentFactory(detected_at=at("09:50"))
    promise(incident, "10:00", "10:30")
    promise(incident, "10:30:00.000", "11:00")
    actions.change_status(incident, "monitoring", stamp=stamp(when=at("10:45")))
    promise(incident, "11:00:00.001", None)
    actions.resolve(incident, summary="Over.", stamp=stamp(when=at("11:45")))
    found = explain(computed("cadence-adherence"), mim)
    assert [row.adds for row in found.used.named] == [50.0, 0.0]
    assert dict(found.used.named[1].facts)["delivered_at"] == at("11:00:00.001")


def test_a_sample_is_explained_by_its_incident_alone(mim: User) -> None:
    resolved("10:00", "11:30")
    resolved("12:00", "12:10")
    computed("mttr")
    sample = KpiObservation.objects.samples().get(kpi="mttr", value=90)
    found = explain(sample, mim)
    assert [row.ref for row in found.used.named] == [f"incident:{sample.incident_id}"]
    assert (total_of(found), found.left_out.total) == (90.0, 0)


# --- What changed since ---


def test_a_corrected_time_is_told(mim: User) -> None:
    resolved("10:00", "11:30")
    stored = computed("mttr")
    Incident.objects.update(resolved_at=at("11:00"))
    found = explain(stored, mim)
    assert found.changes == ("The same rows are used, and a time or value in them was corrected.",)
    assert (stored.value, found.today and found.today.value) == (90.0, 60.0)


def test_new_and_lost_rows_are_told_and_marked(mim: User) -> None:
    resolved("10:00", "11:30")
    stored = computed("mttr")
    Incident.objects.update(kind="drill")
    resolved("10:00", "10:30")
    found = explain(stored, mim)
    assert found.changes[0] == "The rows changed: 1 new, 1 no longer used."
    assert [row.since for row in found.used.named] == ["new since"]
    assert [row.since for row in found.left_out.named] == ["left since"]


def test_the_version_of_that_day_runs_not_todays(mim: User) -> None:
    from kpis.definitions import save_version

    resolved("10:00", "11:30")
    stored = computed("mttr")
    definition = KpiDefinition.objects.get(slug="mttr")
    spec: dict[str, Any] = json.loads(json.dumps(definition.spec))
    spec["calc"]["agg"] = "max"
    definition.spec = spec
    definition.save()
    save_version(definition, by=None, reason="Test", now=TOMORROW)
    stored.refresh_from_db()
    found = explain(stored, mim)
    assert "Average" in found.words
    assert found.is_superseded


def test_a_claim_has_no_rows_that_prove_it(mim: User) -> None:
    incident = IncidentFactory(closed=True)
    claim = Claim(value=4.0, timestamp=at("12:30"), by=mim)
    stored, _ = record_claim(KpiDefinition.objects.get(slug="stakeholder-satisfaction"), incident, claim, now=TOMORROW)
    found = explain(stored, mim)
    assert (found.is_claim, found.used.total, found.changes) == (True, 0, ())


# --- For whom ---


def test_rows_of_others_are_counted_not_named(dispatches: list[TeamPage], engineer: User) -> None:
    """An engineer of one paged team reads the pages of incidents they were called to, and no other."""
    other = TeamPageFactory(incident=IncidentFactory(), paged_at=at("10:00"), arrived_at=at("10:08"))
    Membership.objects.create(team=other.team, user=engineer)
    found = explain(computed("team-page-to-bridge"), engineer)
    assert [row.ref for row in found.used.named] == [f"team_page:{other.pk}"]
    assert (found.used.hidden, found.left_out.hidden) == (2, 1)
    assert total_of(found) == pytest.approx(6.0)


def test_facts_that_are_not_for_the_reader_stay_out(executive: User, mim: User) -> None:
    gathered("10:00", (Phase.GATHER, "10:04"))
    KpiDefinition.objects.filter(slug="mtta").update(visibility="exec")
    stored = computed("mtta")
    assert "issue_time" in dict(explain(stored, mim).used.named[0].facts)
    assert "issue_time" not in dict(explain(stored, executive).used.named[0].facts)


def test_single_people_are_explained_to_nobody(client_as: Knock, admin_user: User, mim: User) -> None:
    """Nothing is stored of them any more; a figure from before is found by nobody."""
    TeamPageFactory(
        incident=IncidentFactory(closed=True, detected_at=at("09:50")), paged_at=at("10:00"), user=mim,
        arrived_at=at("10:04"), arrival_source="self",
    )  # fmt: skip
    KpiDefinition.objects.filter(slug="engineer-response-time").update(is_personal=False)
    stored = computed("engineer-response-time")
    KpiDefinition.objects.filter(slug="engineer-response-time").update(is_personal=True)
    address = f"/api/v1/kpis/engineer-response-time/observations/{stored.pk}/rows"
    assert client_as(admin_user).get(address).status_code == 404


def test_a_restricted_incident_is_in_no_rollup_and_in_its_own_sample(mim: User, executive: User) -> None:
    resolved("10:00", "11:30")
    IncidentFactory(closed=True, restricted=True, title="Leaked keys")
    stored = computed("mttr")
    assert explain(stored, mim).used.total == explain(stored, executive).used.total == 1
    assert reasons_of(stored, mim) == {}
    secret = KpiObservation.objects.samples().get(kpi="mttr", incident__restricted=True)
    assert explain(secret, mim).used.named[0].label == "Leaked keys"


# --- Its doors ---


def test_the_page_shows_rows_and_sum_and_the_json_the_same(
    dispatches: list[TeamPage], page_as: Knock, client_as: Knock, mim: User
) -> None:
    stored = computed("team-page-to-bridge")
    address = f"/kpis/team-page-to-bridge/observations/{stored.pk}"
    answer = page_as(mim).get(address)
    page = Page(answer.content.decode())
    assert page.faults == []
    assert "2 rows add up to 5 min." in page.text
    assert "1 arrived at is empty" in page.text
    assert "Accept" in answer["Vary"]
    program, api = client_as(mim).get(address), client_as(mim).get(f"/api/v1{address}/rows")
    assert program.json() == api.json()
    assert (api.json()["total"], api.json()["leftOut"]["reasons"]) == (5.0, {"arrived at is empty": 1})


def test_every_value_has_a_way_to_its_reasons(dispatches: list[TeamPage], page_as: Knock, mim: User) -> None:
    stored = computed("team-page-to-bridge")
    link = f"/kpis/team-page-to-bridge/observations/{stored.pk}"
    assert link in Page(page_as(mim).get("/kpis").content.decode()).links
    assert link in Page(page_as(mim).get("/kpis/team-page-to-bridge").content.decode()).links
    incident = dispatches[0].incident_id
    sample = KpiObservation.objects.samples().filter(kpi="team-page-to-bridge").first()
    assert sample
    for address in (f"/incidents/{incident}/kpis", f"/incidents/{incident}/"):
        page = Page(page_as(mim).get(address).content.decode())
        assert f"/kpis/team-page-to-bridge/observations/{sample.pk}" in page.links


def test_more_rows_cost_no_more_queries(
    page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for minute in range(10, 40):
        TeamPageFactory(incident=IncidentFactory(closed=True), paged_at=at("10:00"), arrived_at=at(f"10:{minute}"))
    stored = computed("team-page-to-bridge")
    with django_assert_max_num_queries(12):
        page_as(mim).get(f"/kpis/team-page-to-bridge/observations/{stored.pk}")


def test_on_the_command_line(dispatches: list[TeamPage]) -> None:
    computed("team-page-to-bridge")
    run = CliRunner().invoke(app, ["explain", "team-page-to-ack"])
    assert run.exit_code != 0  # nothing is computed of it
    computed("team-page-to-ack")
    run = CliRunner().invoke(app, ["explain", "team-page-to-bridge", "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["value"], told["used"]["total"]) == (5.0, 2)
    text = CliRunner().invoke(app, ["explain", "team-page-to-bridge", "--incident", dispatches[0].incident_id])
    assert "1 row adds up to" in text.stdout


def test_rows_that_vanished_are_counted(dispatches: list[TeamPage], mim: User) -> None:
    stored = computed("team-page-to-bridge")
    with unlocked(connection):
        dispatches[0].delete()
    assert explain(stored, mim).changes[0] == "The rows changed: 0 new, 1 no longer used."


def test_phases_link_to_the_log(mim: User) -> None:
    incident = IncidentFactory(issue_time=at("10:00"), detected_at=at("10:00"))
    PhaseEntryFactory(incident=incident, phase_number=Phase.GATHER, entered_at=at("10:04"))
    (row,) = explain(computed("mtta"), mim).used.named
    assert row.url == f"/incidents/{incident.pk}/"
