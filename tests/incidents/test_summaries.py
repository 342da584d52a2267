"""The rules' draft says what the facts say, says what is unknown, and nothing else; a person stands for what executives
read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.models import User
from incidents import actions
from incidents.brief_rules import excerpt
from incidents.errors import IncidentChanged, NotAPerson
from incidents.executive import facts_of, summary_of
from incidents.models import ExecSummary, Incident
from incidents.summaries import LENGTH, Facts, Said, draft, first_sentence
from majorops.lib.errors import Invalid
from majorops.lib.visibility import visible
from tests.cast import Knock
from tests.factories import EVENING, NOON, IncidentFactory, TimelineEventFactory, at, stamp

FACTS = Facts(
    title="Checkout fails",
    severity="critical",
    status="active",
    phase=5,
    detected_at=at("12:44"),
    now=at("14:26"),
    customer_impact="Orders in region West fail",
    customer_count=1240,
    risk_level="high",
    next_update_eta=at("14:30"),
    milestones=(Said(at("14:02"), "Fault isolated", "The replica lags. We move traffic."),),
    promises_kept=3,
    promises_judged=3,
)


def test_a_draft_says_what_is_known_in_one_paragraph() -> None:
    assert draft(FACTS) == (
        "Checkout fails. Critical incident since 12:44 UTC (1 h 42 min). Orders in region West fail. "
        "Customers confirmed as affected: 1,240. Risk: high. Last word at 14:02 UTC: Fault isolated. The replica lags. "
        "Work is in phase 5 of 8, Isolation. Next update: 14:30 UTC. Updates on time so far: 3 of 3."
    )


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"customer_count": None}, "How many customers are affected is not known."),
        ({"customer_count": None, "external_impact": "no"}, "Customers do not feel it."),
        ({"customer_count": 0}, "Customers confirmed as affected: 0."),
        ({"milestones": ()}, "No milestone has been published yet."),
        ({"next_update_eta": None}, "No next update is promised."),
        ({"next_update_eta": at("14:20")}, "The update promised for 14:20 UTC is overdue by 6 min."),
        ({"status": "monitoring"}, "A fix is in place and is being watched."),
        ({"decision_asked": "Close the West shops?"}, "Decision asked: Close the West shops?"),
        ({"resolved_at": at("14:14"), "status": "resolved"}, "it lasted 1 h 30 min, from 12:44 UTC."),
    ],
)
def test_what_is_not_known_is_said(known: dict[str, object], says: str) -> None:
    assert says in draft(replace(FACTS, **known))  # type: ignore[arg-type]


def test_a_resolved_incident_promises_nothing_and_has_no_risk() -> None:
    told = draft(replace(FACTS, resolved_at=at("14:14"), status="resolved", phase=8))
    assert "Next update" not in told
    assert "Risk" not in told


def test_a_draft_is_never_longer_than_its_place() -> None:
    long = replace(FACTS, business_impact="Sales stand still. " * 300)
    assert len(draft(long)) <= LENGTH + 2
    assert draft(long).endswith("…")


@pytest.mark.parametrize(
    ("text", "first"), [("Go v2.1 now. Then rest.", "Go v2.1 now."), ("One\ntwo", "One two."), ("", "")]
)
def test_a_first_sentence(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_an_excerpt_says_that_it_is_one() -> None:
    assert excerpt("short", characters=20) == excerpt("short\n\n\n", characters=20)
    cut = excerpt("one two three four", characters=12)
    assert (cut.text, cut.is_cut) == ("one two …", True)
    assert excerpt("a\nb\nc", characters=99, lines=2).text == "a\nb …"


# --- What a draft is made of ---


def test_facts_are_those_an_executive_reads(mim: User) -> None:
    incident = IncidentFactory(description="SECRET cause", alert_id="SECRET-1", metadata={"x": "SECRET"}, mim=mim)
    TimelineEventFactory(incident=incident, title="SECRET line")
    actions.cut_milestone(incident, title="Known", body="It is known.", next_update_eta=EVENING, stamp=stamp(mim))
    sent = str(facts_of(incident, mim, NOON).as_json())
    assert "It is known." in sent
    assert "SECRET" not in sent
    assert mim.display_name not in sent


# --- A person stands for it ---


def accepted(incident: Incident, viewer: User) -> str:
    incident.refresh_from_db()
    return str(summary_of(incident, viewer).text)


def test_a_draft_is_nothing_to_executives(mim: User, executive: User) -> None:
    incident = IncidentFactory()
    actions.draft_summary(incident, "It is bad.", origin="rules", stamp=stamp(mim))
    assert accepted(incident, executive) == ""
    assert not visible(ExecSummary.objects.all(), executive).exists()
    assert visible(ExecSummary.objects.all(), mim).get().is_accepted is False


def test_accepting_names_role_origin_and_keeps_the_history(mim: User, executive: User) -> None:
    incident = IncidentFactory(exec_summary="Old")
    actions.draft_summary(incident, "It is bad.", origin="model", stamp=stamp(mim))
    actions.accept_summary(incident, "It is bad.", stamp=stamp(mim, at("12:05")))
    incident.refresh_from_db()
    shown = summary_of(incident, executive)
    assert (str(shown.text), shown.by, shown.at, shown.how) == (
        "It is bad.", "Major Incident Manager", at("12:05"), "drafted by a language model",
    )  # fmt: skip
    entry = visible(incident.timeline.all(), executive).get()
    assert (entry.verb, entry.changes) == ("summary", {"exec_summary": ["Old", "It is bad."]})


def test_a_draft_that_was_changed_is_the_persons(mim: User) -> None:
    incident = IncidentFactory()
    actions.draft_summary(incident, "It is bad.", origin="rules", stamp=stamp(mim))
    actions.accept_summary(incident, "It is over.", stamp=stamp(mim))
    assert ExecSummary.objects.get(is_accepted=True).origin == "person"


def test_an_edit_of_the_field_is_accepted_by_whoever_made_it(mim: User, executive: User) -> None:
    incident = IncidentFactory()
    actions.edit_incident(incident, {"exec_summary": "By hand"}, stamp=stamp(mim))
    incident.refresh_from_db()
    assert summary_of(incident, executive).by == "Major Incident Manager"


def test_undoing_an_edit_brings_back_who_stood_for_the_text_before(mim: User, executive: User) -> None:
    incident = IncidentFactory()
    actions.accept_summary(incident, "First", stamp=stamp(mim, at("12:00")))
    edited = actions.edit_incident(incident, {"exec_summary": "Second"}, stamp=stamp(mim, at("12:30")))
    actions.undo(edited, incident.timeline.get(verb="edited"), stamp=stamp(mim, at("12:30:10")))
    incident.refresh_from_db()
    shown = summary_of(incident, executive)
    assert (str(shown.text), shown.at) == ("First", at("12:00"))


def test_accepting_needs_a_person_a_text_and_the_version_that_was_read(mim: User) -> None:
    incident = IncidentFactory()
    with pytest.raises(NotAPerson):
        actions.accept_summary(incident, "x", stamp=stamp(None))
    with pytest.raises(Invalid):
        actions.accept_summary(incident, "  ", stamp=stamp(mim))
    with pytest.raises(IncidentChanged):
        actions.accept_summary(incident, "x", stamp=stamp(mim), expected_version=incident.version + 1)
    assert not ExecSummary.objects.exists()


# --- The page ---


def test_the_page_proposes_a_draft_and_keeps_nothing_by_itself(page_as: Knock, mim: User) -> None:
    incident = IncidentFactory(title="Checkout fails")
    page = page_as(mim).get(f"/incidents/{incident.pk}/summary").content.decode()
    assert "Proposed by rules" in page
    assert "Checkout fails." in page
    assert not ExecSummary.objects.exists()


def test_the_page_drafts_keeps_and_accepts(page_as: Knock, mim: User, executive: User) -> None:
    incident, browser = IncidentFactory(), page_as(mim)
    path = f"/incidents/{incident.pk}/summary"
    for do, body in (("rules", ""), ("save", "My words"), ("accept", "My words")):
        incident.refresh_from_db()
        sent = {"do": do, "body": body, "version": incident.version}
        assert browser.post(path, sent).status_code == 302
    kept = [(row.origin, row.is_accepted) for row in ExecSummary.objects.all()]
    assert kept == [("rules", False), ("person", False), ("person", True)]
    assert "My words" in page_as(executive).get(f"/incidents/{incident.pk}/exec").content.decode()


def test_the_page_refuses_an_empty_text_and_an_old_version(page_as: Knock, mim: User) -> None:
    incident, browser = IncidentFactory(version=4), page_as(mim)
    path = f"/incidents/{incident.pk}/summary"
    assert browser.post(path, {"do": "accept", "body": " ", "version": 4}).status_code == 422
    refused = browser.post(path, {"do": "accept", "body": "Typed words", "version": 3})
    assert refused.status_code == 409
    assert b"Typed words" in refused.content


def test_a_summary_older_than_the_newest_milestone_says_so(mim: User, executive: User) -> None:
    incident = IncidentFactory()
    actions.accept_summary(incident, "First", stamp=stamp(mim))
    later = stamp(mim, NOON + timedelta(minutes=9))
    milestone = actions.cut_milestone(
        incident, title="Known", body="It is known.", next_update_eta=EVENING, stamp=later
    )
    incident.refresh_from_db()
    assert summary_of(incident, executive, milestone).is_behind
