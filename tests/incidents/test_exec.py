"""What executives read: the order of the list, one page with roles and no names, and the same as text and as data."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from incidents import actions, live
from incidents.executive import exec_brief, in_order
from incidents.models import Incident
from incidents.viewing import incidents_for
from kpis.compute import backfill
from kpis.models import KpiDefinition
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, at, stamp


@pytest.fixture
def incident(mim: User) -> Incident:
    """An incident that has everything an executive reads, and names that they do not."""
    incident = IncidentFactory(
        title="Checkout fails", mim=mim, sre="T. Moreau", leader=mim, risk_level="high", customer_count=1240,
        external_impact="yes", business_impact="Sales in West stand still.", customer_impact_summary="Orders fail.",
        decision_asked="Close the West shops?", description="INTERNAL cause",
    )  # fmt: skip
    cut = {"body": "The replica lags.", "next_update_eta": at("12:40")}
    actions.cut_milestone(incident, title="Fault isolated", stamp=stamp(mim, at("12:10")), **cut)
    actions.accept_summary(incident, "We move traffic to East.", stamp=stamp(mim, at("12:20")))
    return incidents_for(mim).get(pk=incident.pk)


# --- The list ---


def test_an_overdue_promise_comes_first_then_severity_then_age() -> None:
    rows = [
        IncidentFactory.build(title=title, severity=severity, detected_at=at(since), next_update_eta=eta and at(eta))
        for title, severity, since, eta in [
            ("young critical", "critical", "11:50", "12:30"),
            ("old high", "high", "08:00", None),
            ("late low", "low", "11:00", "11:58"),
            ("later low", "low", "11:30", "11:30"),
            ("old critical", "critical", "10:00", None),
        ]
    ]
    titles = [row.title for row in in_order(rows, NOON)]
    assert titles == ["later low", "late low", "old critical", "young critical", "old high"]


def test_the_list_shows_what_goes_on_and_a_screen_on_the_wall_has_nothing_to_press(
    page_as: Knock, incident: Incident, executive: User
) -> None:
    page = page_as(executive).get("/exec/").content.decode()
    assert "Checkout fails" in page
    assert "decision asked" in page
    wall = page_as(executive).get("/exec/?kiosk=1").content.decode()
    assert 'data-again="30"' in wall
    assert '/exec"' not in wall.partition("<main")[2]
    assert "<button" not in wall.partition("<main")[2]


def test_without_an_active_incident_the_last_one_is_named(page_as: Knock, executive: User) -> None:
    assert "None has ever been recorded" in page_as(executive).get("/exec/").content.decode()
    IncidentFactory(closed=True, title="Mail is slow")
    IncidentFactory(restricted=True, title="SECRET breach")
    page = page_as(executive).get("/exec/").content.decode()
    assert "No active major incident." in page
    assert "Mail is slow" in page
    assert "SECRET" not in page


def test_the_list_costs_as_much_for_many(
    page_as: Knock, executive: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    IncidentFactory.create_batch(8)
    with django_assert_max_num_queries(10):
        page_as(executive).get("/exec/")


@pytest.mark.parametrize("path", ["/exec/", "/incidents/{id}/exec", "/incidents/{id}/exec.txt"])
def test_it_is_for_executives_and_those_who_command(
    page_as: Knock, incident: Incident, executive: User, mim: User, stakeholder: User, path: str
) -> None:
    address = path.format(id=incident.pk)
    answers = [page_as(reader).get(address).status_code for reader in (executive, mim, stakeholder)]
    assert answers == [200, 200, 403]


# --- One page ---

ORDER = [
    "Risk High", "Business impact", "Sales in West", "Customers", "1,240 confirmed", "Elapsed", "Next update",
    "Summary", "We move traffic", "Decision asked", "Close the West shops?",
]  # fmt: skip


def test_the_page_and_the_text_have_the_order_of_a_decision_and_roles_only(
    page_as: Knock, incident: Incident, executive: User
) -> None:
    for path in ("exec", "exec.txt"):
        page = page_as(executive).get(f"/incidents/{incident.pk}/{path}").content.decode()
        told = page.partition("MAJOR INCIDENT")[2]
        places = [told.find(words) for words in ORDER]
        assert -1 not in places
        assert places == sorted(places)
        assert "by the Major Incident Manager" in told
        assert not [name for name in ("Okafor", "Moreau", "INTERNAL") if name in told]


def test_the_text_is_plain(page_as: Knock, incident: Incident, executive: User) -> None:
    Incident.objects.filter(pk=incident.pk).update(title="Tom & Jerry <b>")
    answer = page_as(executive).get(f"/incidents/{incident.pk}/exec.txt")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "Tom & Jerry <b>" in answer.content.decode()


def test_what_is_not_known_is_said(page_as: Knock, executive: User) -> None:
    told = page_as(executive).get(f"/incidents/{IncidentFactory().pk}/exec").content.decode()
    for words in ("not written yet", "number not known", "No summary has been accepted yet", "No update promised"):
        assert words in told


def test_a_page_costs_few_queries(
    page_as: Knock, incident: Incident, executive: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    browser, path = page_as(executive), f"/incidents/{incident.pk}/exec"
    browser.get(path)
    with django_assert_max_num_queries(10):
        browser.get(path)


def test_the_risk_changes_are_told(incident: Incident, mim: User, executive: User) -> None:
    actions.edit_incident(incident, {"risk_level": "low"}, stamp=stamp(mim, at("12:30")))
    shown = exec_brief(incidents_for(executive).get(pk=incident.pk), executive, at("12:31"))
    assert [(change.at, change.text) for change in shown.risks] == [(at("12:30"), "High → Low")]


def test_kpis_stand_against_their_target_with_n_and_evidence(mim: User, executive: User) -> None:
    for _ in range(3):
        IncidentFactory(closed=True)
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=at("2026-03-03T00:00"))
    incident = incidents_for(executive).get(pk=IncidentFactory(severity="critical").pk)
    line = exec_brief(incident, executive, at("2026-03-03T01:00")).kpis[0]
    assert (line.name, line.value, line.n) == ("Mean Time to Resolve", "90 min", 3)
    assert line.target.startswith("≤")
    assert line.state == "met"
    assert line.evidence


def test_long_texts_are_cut_and_say_so(incident: Incident, executive: User) -> None:
    Incident.objects.filter(pk=incident.pk).update(business_impact="Sales stand still. " * 200)
    shown = exec_brief(incidents_for(executive).get(pk=incident.pk), executive, NOON)
    assert shown.is_cut
    assert len(shown.business_impact.text) < 700


def test_what_is_pushed_is_what_was_painted(
    page_as: Knock, incident: Incident, executive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: at("12:35"))
    painted = page_as(executive).get(f"/incidents/{incident.pk}/exec").content.decode()
    state = live.state_for(executive, incident.pk, at("12:35"))
    assert state is not None
    assert live.blocks_for(executive, state.incident, at("12:35"), "exec")["executive"].strip() in painted


def test_a_draft_moves_nothing_of_an_executives_page(incident: Incident, mim: User, executive: User) -> None:
    def standing() -> str:
        state = live.state_for(executive, incident.pk, at("12:35"))
        return state.standing if state else ""

    before = standing()
    actions.draft_summary(incident, "A draft", origin="rules", stamp=stamp(mim, at("12:34")))
    assert standing() == before
    actions.accept_summary(incident, "Accepted", stamp=stamp(mim, at("12:34")))
    assert standing() != before


def test_the_page_as_data(client_as: Knock, incident: Incident, executive: User) -> None:
    told = client_as(executive).get(f"/api/v1/incidents/{incident.pk}/brief?audience=executive").json()
    assert (told["riskLevel"], told["customerCount"], told["decisionAsked"]) == ("High", 1240, "Close the West shops?")
    assert told["execSummary"]["acceptedBy"] == "Major Incident Manager"
    assert "Okafor" not in str(told)


def test_an_executive_begins_on_the_list(page_as: Knock, executive: User) -> None:
    assert page_as(executive).get("/")["Location"] == "/exec/"
