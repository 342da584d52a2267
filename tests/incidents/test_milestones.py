"""Composing a milestone: chosen entries, texts, private drafts, previews; the same by API and CLI."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from typer.testing import CliRunner

from accounts.models import User
from incidents import actions, moments
from incidents.canned import fill
from incidents.models import CannedText, Incident, Milestone, MilestoneDraft
from majorops.cli import app
from majorops.lib.visibility import visible
from tests.cast import Knock
from tests.factories import UserFactory, at, stamp
from tests.pages import Page

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


@pytest.fixture
def incident(mim: User) -> Incident:
    known = {"affected_systems": ["Checkout"], "customer_impact_summary": "Orders fail", "business_impact": "Revenue"}
    opened = actions.open_incident(title="Checkout is down", severity="critical", stamp=stamp(mim), **known)
    return Incident.objects.get(pk=opened.pk)


def path(incident: Incident, rest: str = "milestone/compose") -> str:
    return f"/incidents/{incident.pk}/{rest}"


SAID = {"title": "Better", "body": "Traffic moves.", "next_update": "30"}


def test_chosen_entries_are_quoted_and_kept(page_as: Knock, mim: User, incident: Incident) -> None:
    lines = [actions.post_entry(incident, f"Step {n}", stamp=stamp(mim, at(f"12:0{n}"))) for n in (1, 2, 3)]
    form = page_as(mim).get(path(incident), {"entry": [lines[0].pk, lines[2].pk]}).context["form"]
    assert form["lines"].value() == [lines[0].pk, lines[2].pk]
    page_as(mim).post(path(incident), {**SAID, "lines": form["lines"].value(), "do": "publish"})
    milestone = Milestone.objects.get()
    assert milestone.body == "Traffic moves.\n- 12:01 Step 1\n- 12:03 Step 3"
    assert list(milestone.sources.values_list("entry", flat=True)) == [lines[0].pk, lines[2].pk]


def test_draft_survives_and_is_gone_once_published(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "do": "keep"})
    assert page_as(mim).get(path(incident)).context["form"]["body"].value() == "Traffic moves."
    assert not Milestone.objects.exists()
    page_as(mim).post(path(incident), {**SAID, "do": "publish"})
    assert not MilestoneDraft.objects.exists()


def test_draft_is_read_by_its_writer_only(page_as: Knock, mim: User, admin_user: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "body": "zebra-42", "do": "keep"})
    deputy = UserFactory(role="mim")
    for other in (deputy, admin_user):
        assert "zebra-42" not in page_as(other).get(path(incident)).content.decode()
        assert not visible(MilestoneDraft.objects.all(), other).exists()
    page_as(deputy).post(path(incident), {**SAID, "do": "keep"})
    assert MilestoneDraft.objects.count() == 2


def test_draft_wakes_nobodys_page(page_as: Knock, mim: User, incident: Incident) -> None:
    version, entries = incident.version, incident.timeline.count()
    page_as(mim).post(path(incident), {**SAID, "do": "keep"})
    incident.refresh_from_db()
    assert (incident.version, incident.timeline.count()) == (version, entries)


def test_draft_is_thrown_away(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "do": "keep"})
    page_as(mim).post(path(incident), {"do": "discard"})
    assert not MilestoneDraft.objects.exists()


@pytest.mark.parametrize("who", ["stakeholder", "executive", "engineer"])
def test_only_who_commands_composes(
    request: pytest.FixtureRequest, page_as: Knock, incident: Incident, who: str
) -> None:
    client = page_as(request.getfixturevalue(who))
    assert (client.get(path(incident)).status_code, client.post(path(incident), SAID).status_code) == (403, 403)


def test_preview_shows_each_audience_what_it_reads(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "do": "keep"})
    shown = page_as(mim).get(path(incident)).context
    facts = {preview.name: {fact.text for fact in preview.facts} for preview in shown["previews"]}
    assert "Revenue" in facts["executive"] - facts["stakeholder"]
    assert "Orders fail" in facts["stakeholder"] & facts["executive"]
    assert shown["previews"][2].why_not == "This incident is not on the status page."


def test_preview_says_what_is_missing(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "title": "", "do": "keep"})
    assert page_as(mim).get(path(incident)).context["missing"] == ["Give it a headline."]


def test_page_is_sound(page_as: Knock, mim: User, incident: Incident) -> None:
    actions.post_entry(incident, "Step", stamp=stamp(mim, at("12:10")))
    page_as(mim).post(path(incident), {**SAID, "do": "keep"})
    assert Page(page_as(mim).get(path(incident)).content.decode()).faults == []
    assert Page(page_as(mim).get(path(incident, "promises")).content.decode()).faults == []


def test_refused_milestone_keeps_what_was_typed(page_as: Knock, mim: User, incident: Incident) -> None:
    answer = page_as(mim).post(path(incident), {**SAID, "next_update": "none", "do": "publish"})
    assert answer.status_code == 422
    assert "Say when the next update comes" in answer.content.decode()
    assert "Traffic moves." in answer.content.decode()


# --- Texts ---


def test_holes_are_filled_and_the_promise_when_it_is_published(page_as: Knock, mim: User, incident: Incident) -> None:
    CannedText.objects.create(
        key="own", phase=1, form="milestone", label="Own", text="{what}: {impact} Next: {next_update}."
    )
    body = page_as(mim).get(path(incident), {"text": "own"}).context["form"]["body"].value()
    assert body == "Checkout: Orders fail. Next: {next_update}."
    page_as(mim).post(path(incident), {**SAID, "body": body})
    assert Milestone.objects.get().body == "Checkout: Orders fail. Next: 13:30 UTC."


def test_a_hole_that_nothing_fills_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"Nothing fills \{what.__class__\}"):
        CannedText(key="x", phase=1, form="milestone", label="x", text="{what.__class__}").full_clean()
    assert fill("{a} {what}", {"what": "x"}) == "{a} x"


def test_a_text_that_is_switched_off_is_not_offered(page_as: Knock, mim: User, incident: Incident) -> None:
    assert "We know" in page_as(mim).get(path(incident)).content.decode()
    CannedText.objects.filter(key="alert-milestone").update(is_active=False)
    assert "We know" not in page_as(mim).get(path(incident)).content.decode()


# --- Times in the reader's zone ---


def test_clock_time_is_of_the_zone_that_was_shown(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident), {**SAID, "next_update_at": "15:00", "zone": "Europe/Rome"})
    assert Milestone.objects.get().next_update_eta == at("14:00")


@pytest.mark.parametrize(
    ("text", "zone", "due"),
    [("15:00", "", "15:00"), ("15:00 UTC", "Asia/Tokyo", "15:00"), ("30m", "Asia/Tokyo", "13:30"),
     ("12:00", "", "2026-03-03T12:00"), ("15:00", "Nowhere/Land", "15:00")],
)  # fmt: skip
def test_promised_times(text: str, zone: str, due: str) -> None:
    assert moments.promised(text, at("13:00"), zone=moments.zone_called(zone)) == at(due)


# --- Promises on the page ---


def test_one_click_says_that_nothing_has_changed(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident, "milestone"), {**SAID, "next_update": "15"})
    page_as(mim).post(path(incident, "promise"), {"next_update": "same"})
    assert incident.milestones.last().next_update_eta == at("13:15")


def test_ledger_is_read_by_all_who_read_the_incident(
    page_as: Knock, mim: User, stakeholder: User, incident: Incident
) -> None:
    for when, due in (("12:00", "12:30"), ("12:34", "12:50")):
        by = stamp(mim, at(when))
        actions.cut_milestone(incident, title="x", body="x", next_update_eta=at(due), stamp=by)
    actions.move_promise(incident, at("13:30"), reason="The vendor looks", stamp=stamp(mim, at("12:40")))
    text = Page(page_as(stakeholder).get(path(incident, "promises")).content.decode()).text
    assert "Promised updates: kept 0 of 1, missed 1 by 4 min, moved 1 in time." in text
    assert "The vendor looks" in text


def test_promise_is_moved_with_a_plain_form(page_as: Knock, mim: User, incident: Incident) -> None:
    page_as(mim).post(path(incident, "milestone"), SAID)
    page_as(mim).post(path(incident, "promise/move"), {"next_update": "60", "reason": "Vendor"})
    incident.refresh_from_db()
    assert incident.next_update_eta == at("14:00")


# --- API ---


def test_ledger_over_http(client_as: Knock, mim: User, stakeholder: User, incident: Incident) -> None:
    api = f"/api/v1/incidents/{incident.pk}"
    told = actions.post_entry(incident, "Told", visibility="public", stamp=stamp(mim))
    secret = actions.post_entry(incident, "Secret", stamp=stamp(mim))
    body = {"title": "x", "body": "x", "nextUpdateEta": "2026-03-02T13:30Z", "entries": [secret.pk, told.pk]}
    assert client_as(mim).post(f"{api}/milestones", body, content_type=JSON).status_code == 201
    moved = {"nextUpdateEta": "2026-03-02T13:40Z", "reason": "Vendor"}
    assert client_as(mim).post(f"{api}/promises", moved, content_type=JSON).status_code == 201
    assert client_as(mim).post(f"{api}/no-change", {}, content_type=JSON).status_code == 201
    ledger = client_as(stakeholder).get(f"{api}/promises").json()
    assert [each["outcome"] for each in ledger["promises"]] == ["revised", "kept", "pending"]
    assert (ledger["kept"], ledger["judged"], ledger["revised"], ledger["state"]) == (1, 1, 1, "on_time")
    milestones = client_as(stakeholder).get(f"{api}/milestones").json()["results"]
    assert milestones[-1]["entries"] == [told.pk]


@pytest.mark.parametrize("address", ["promises", "no-change"])
def test_stakeholders_move_nothing(client_as: Knock, stakeholder: User, incident: Incident, address: str) -> None:
    answer = client_as(stakeholder).post(f"/api/v1/incidents/{incident.pk}/{address}", {}, content_type=JSON)
    assert answer.status_code == 403


def test_a_milestone_without_a_promise_is_refused_by_name(client_as: Knock, mim: User, incident: Incident) -> None:
    address = f"/api/v1/incidents/{incident.pk}/milestones"
    answer = client_as(mim).post(address, {"title": "x", "body": "x"}, content_type=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "next_update_missing")


# --- CLI ---


def test_milestones_from_a_terminal() -> None:
    incident = actions.open_incident(title="x", severity="high", stamp=stamp())

    def run(*arguments: str) -> int:
        return CliRunner().invoke(app, ["incident", *arguments]).exit_code

    assert run("milestone", incident.pk, "We know", "--body", "More soon.", "--next-update", "20m") == 0
    assert run("promise", incident.pk, "40m", "--reason", "Vendor") == 0
    assert run("milestone", incident.pk, "--no-change") == 0
    assert run("milestone", incident.pk, "No promise", "--body", "x") != 0
    first, second = incident.milestones.order_by("sequence")
    assert first.next_update_eta - first.created_at == timedelta(minutes=20)
    assert (second.title.startswith("No change"), second.source) == (True, "cli")
    assert incident.promise_moves.count() == 1
