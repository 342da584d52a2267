"""After the incident: its learning review, follow-ups, survey, links and calendar."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from icalendar import Calendar

from accounts.models import User
from accounts.scopes import Scope
from incidents import actions
from incidents.errors import (
    FollowUpIsOver,
    LinkCannotBe,
    ReasonMissing,
    ReviewCannotMove,
    ReviewChanged,
    ReviewIncomplete,
    ReviewIsPublished,
    SurveyIsClosed,
)
from incidents.follow_ups import is_overdue
from incidents.links import LinkKind, check_link, is_same_incident
from incidents.models import (
    CalendarFeed,
    Incident,
    IncidentLink,
    LearningReview,
    ReadReceipt,
    SurveyInvitation,
    SurveyResponse,
)
from incidents.review import OUTLINES, ReviewDue, ReviewState, Task, begun, check_move, due_state, missing_for
from incidents.survey import result
from incidents.survey_links import feed_token, path_of
from kpis.compute import backfill, recompute_incident
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.visibility import visible
from tests.accounts.programs import program_with
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, UserFactory, at, stamp
from tests.pages import Page

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`clock(moment)` sets what the doors take for now; one o'clock to begin with."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: moment)

    set_to(at("13:00"))
    return set_to


@pytest.fixture
def resolved(mim: User) -> Incident:
    """Declared at noon, resolved at 12:50, with R. Okafor in command."""
    incident = actions.open_incident(
        title="Checkout fails", severity="critical", stamp=stamp(mim), affected_systems=["Checkout"], customer_count=12
    )
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim, at("12:01")))
    actions.post_entry(incident, "Failover started", stamp=stamp(mim, at("12:10")))
    return actions.resolve(incident, summary="Failed over to the standby.", stamp=stamp(mim, at("12:50")))


def write(incident: Incident, by: User, when: datetime = NOON + timedelta(hours=1)) -> LearningReview:
    review = LearningReview.objects.get(incident=incident)
    texts = {str(each["key"]): "Written." for each in review.sections}
    return actions.edit_review(incident, {"sections": texts}, stamp=stamp(by, when))


def publish(incident: Incident, by: User, when: datetime = NOON + timedelta(hours=2)) -> LearningReview:
    write(incident, by)
    actions.move_review(incident, "in_review", stamp=stamp(by, when))
    return actions.move_review(incident, "published", stamp=stamp(by, when))


# --- Rules ---


def test_due_at_the_last_moment_is_not_late() -> None:
    assert due_state(NOON, None, NOON) == ReviewDue.SOON
    assert due_state(NOON, None, NOON + timedelta(seconds=1)) == ReviewDue.OVERDUE
    assert due_state(NOON, None, NOON - 2 * DAY) == ReviewDue.OPEN
    assert due_state(NOON, NOON + DAY, NOON + 2 * DAY) == ReviewDue.DONE


@pytest.mark.parametrize(
    ("state", "to", "refusal"),
    [
        ("draft", "published", ReviewCannotMove),
        ("published", "draft", ReviewCannotMove),
        ("published", "in_review", ReasonMissing),
        ("draft", "in_review", ReviewIncomplete),
    ],
)
def test_a_review_goes_step_by_step(state: str, to: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        check_move(ReviewState(state), ReviewState(to), reason="", missing=["give it an owner"])


def test_beyond_draft_everything_has_an_owner_and_a_date() -> None:
    tasks = [Task("Alert on lag", has_owner=False, has_due_date=True), Task("Done", has_owner=True, has_due_date=True)]
    gaps = missing_for(ReviewState.IN_REVIEW, has_owner=False, tasks=tasks, sections=begun(OUTLINES, {}))
    assert gaps == ["give it an owner", "give the follow-up “Alert on lag” an owner"]
    more = missing_for(ReviewState.PUBLISHED, has_owner=True, tasks=[], sections=begun(OUTLINES, {"summary": "x"}))
    assert more == ["write “Timeline”", "write “How it came about”"]


def test_a_follow_up_is_late_from_the_next_day() -> None:
    due = date(2026, 3, 2)
    assert not is_overdue(due, "open", due)
    assert is_overdue(due, "open", date(2026, 3, 3))
    assert not is_overdue(due, "done", date(2026, 3, 3))
    assert not is_overdue(None, "open", date(2026, 3, 3))


def test_fewer_than_three_answers_give_no_mean() -> None:
    assert result([5, 5], 4).mean is None
    shown = result([5, 4, 3], 4)
    assert (shown.mean, shown.response_percent) == (4.0, 75.0)


def test_within_the_time_it_is_the_same_incident() -> None:
    assert is_same_incident(NOON, NOON + DAY, DAY)
    assert not is_same_incident(NOON, NOON + DAY + timedelta(seconds=1), DAY)


@pytest.mark.parametrize(
    ("one", "other", "standing"),
    [("a", "a", []), ("a", "b", [("a", "c")]), ("a", "b", [("b", "c")]), ("a", "b", [("c", "a")])],
)
def test_duplicates_make_no_chains(one: str, other: str, standing: list[tuple[str, str]]) -> None:
    with pytest.raises(LinkCannotBe):
        check_link(LinkKind.DUPLICATE, one, other, duplicates=standing)
    check_link(LinkKind.RELATED, "a", "b", duplicates=standing)


# --- The review ---


def test_resolving_begins_the_review_with_what_is_known(resolved: Incident, mim: User) -> None:
    review = LearningReview.objects.get(incident=resolved)
    texts = {each["key"]: each["text"] for each in review.sections}
    assert (review.state, review.owner, review.due_at) == ("draft", mim, at("12:50") + timedelta(hours=72))
    assert "Checkout fails: a critical incident on Checkout that lasted 50 min." in texts["summary"]
    assert "12:10 UTC  Failover started" in texts["timeline"]
    assert review.revisions.get().changes == {}


@pytest.mark.parametrize(("kind", "count"), [("real", 1), ("drill", 1), ("test", 0), ("backfilled", 0)])
def test_only_real_incidents_and_drills_get_one_by_themselves(mim: User, kind: str, count: int) -> None:
    incident = IncidentFactory(kind=kind)
    actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("12:30")))
    assert LearningReview.objects.count() == count


def test_imported_history_gets_one_when_asked(mim: User, page_as: Knock) -> None:
    incident = IncidentFactory(closed=True, kind="backfilled")
    page_as(mim).post(f"/incidents/{incident.pk}/review/begin")
    assert LearningReview.objects.get(incident=incident).due_at == at("13:00") + timedelta(hours=72)


def test_every_change_is_history(resolved: Incident, mim: User) -> None:
    actions.edit_review(resolved, {"sections": {"causes": "The disk was full."}}, stamp=stamp(mim, at("13:00")))
    again = actions.edit_review(resolved, {"sections": {"causes": "The disk was full."}}, stamp=stamp(mim, at("13:01")))
    newest = again.revisions.get(version=2)
    assert (again.version, newest.changes) == (2, {"section:causes": ["", "The disk was full."]})
    assert newest.actor == "R. Okafor"


def test_who_looked_at_an_older_version_is_told(resolved: Incident, mim: User) -> None:
    write(resolved, mim)
    with pytest.raises(ReviewChanged) as refused:
        actions.edit_review(resolved, {"owner": None}, stamp=stamp(mim, at("13:05")), expected_version=1)
    assert refused.value.details["version"] == 2


def test_what_is_published_does_not_change(resolved: Incident, mim: User) -> None:
    review = publish(resolved, mim)
    assert review.published_at == at("14:00")
    with pytest.raises(ReviewIsPublished):
        write(resolved, mim)
    actions.move_review(resolved, "in_review", reason="A fact was wrong.", stamp=stamp(mim, at("15:00")))
    again = actions.move_review(resolved, "published", stamp=stamp(mim, at("16:00")))
    assert again.published_at == at("14:00")


def test_resolving_again_moves_the_due_time_and_keeps_the_text(resolved: Incident, mim: User) -> None:
    write(resolved, mim)
    actions.reopen(resolved, reason="It is back.", stamp=stamp(mim, at("14:00")))
    actions.resolve(resolved, summary="Over now.", stamp=stamp(mim, at("15:00")))
    review = LearningReview.objects.get()
    assert review.due_at == at("15:00") + timedelta(hours=72)
    assert review.sections[0]["text"] == "Written."


def test_what_is_over_keeps_its_words_and_dropping_needs_a_reason(resolved: Incident, mim: User) -> None:
    said = stamp(mim, at("13:00"))
    task = actions.add_follow_up(resolved, title="Alert on lag", type="detective", stamp=said)
    with pytest.raises(ReasonMissing):
        actions.change_follow_up(resolved, task, {"state": "dropped"}, stamp=said)
    actions.change_follow_up(resolved, task, {"state": "done"}, stamp=said)
    with pytest.raises(FollowUpIsOver):
        actions.change_follow_up(resolved, task, {"title": "Alert on load"}, stamp=said)


def test_executives_read_it_once_it_is_published(
    resolved: Incident, mim: User, executive: User, stakeholder: User, engineer: User
) -> None:
    rows = LearningReview.objects.all()
    assert visible(rows, mim).exists()
    assert not visible(rows, executive).exists()
    publish(resolved, mim)
    assert visible(rows, executive).exists()
    assert not visible(rows, stakeholder).exists()
    assert not visible(rows, engineer).exists()


def test_whoever_has_something_to_do_reads_it(resolved: Incident, mim: User, engineer: User, page_as: Knock) -> None:
    address = f"/incidents/{resolved.pk}/review"
    assert page_as(engineer).get(address).status_code == 404
    task = actions.add_follow_up(
        resolved, title="Alert", type="detective", owner=engineer, stamp=stamp(mim, at("13:00"))
    )
    browser = page_as(engineer)
    assert browser.get(address).status_code == 200
    said = {
        "title": "Alert",
        "type": "detective",
        "priority": "medium",
        "state": "done",
        "version": 1,
        "owner": engineer.email,
    }
    assert browser.post(f"{address}/follow-ups/{task.pk}", said).status_code == 302
    assert browser.post(address, {"version": 1}).status_code == 403


@pytest.mark.parametrize("who", ["mim", "admin_user"])
def test_every_page_is_sound(
    request: pytest.FixtureRequest, resolved: Incident, mim: User, page_as: Knock, who: str
) -> None:
    task = actions.add_follow_up(resolved, title="Alert", type="detective", stamp=stamp(mim, at("13:00")))
    browser: Client = page_as(request.getfixturevalue(who))
    one = f"/incidents/{resolved.pk}"
    for address in (
        f"{one}/", f"{one}/review", f"{one}/review/follow-ups/{task.pk}", f"{one}/survey", f"{one}/link", "/reviews/",
        "/follow-ups/", "/follow-ups/?show=overdue", "/calendar", "/incidents/new/past", f"{one}/reopen",
    ):  # fmt: skip
        answer = browser.get(address)
        assert (answer.status_code, Page(answer.content.decode()).faults) == (200, []), address


def test_a_refused_step_says_what_is_missing(resolved: Incident, mim: User, page_as: Knock) -> None:
    actions.add_follow_up(resolved, title="Alert on lag", type="detective", stamp=stamp(mim, at("13:00")))
    answer = page_as(mim).post(f"/incidents/{resolved.pk}/review/move", {"state": "in_review"})
    text = Page(answer.content.decode()).text
    assert answer.status_code == 409
    assert "give the follow-up “Alert on lag” an owner and a due date" in text


def test_lists_of_reviews_and_follow_ups_keep_to_their_budget(
    resolved: Incident, mim: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(mim)
    for number in range(4):
        actions.add_follow_up(
            resolved, title=f"Task {number}", type="detective", owner=mim, stamp=stamp(mim, at("13:00"))
        )
        actions.resolve(IncidentFactory(), summary="Over.", stamp=stamp(mim, at("12:30")))
    for address in ("/reviews/", "/follow-ups/"):
        with django_assert_max_num_queries(6):
            browser.get(address)


def test_the_file_has_everything(resolved: Incident, mim: User, page_as: Knock) -> None:
    actions.add_follow_up(resolved, title="Alert | lag", type="detective", stamp=stamp(mim, at("13:00")))
    answer = page_as(mim).get(f"/incidents/{resolved.pk}/review.md")
    text = b"".join(answer).decode()  # type: ignore[arg-type]
    assert text.startswith("# Learning review: Checkout fails\n")
    assert "Failover started" in text
    assert "| Alert \\| lag | detective | medium | nobody | none | Open |" in text


# --- The survey ---


@pytest.fixture
def asked(resolved: Incident, mim: User) -> list[SurveyInvitation]:
    """Four stakeholders were asked."""
    people = [UserFactory() for _ in range(4)]
    return [actions.ask_for_feedback(resolved, person, stamp=stamp(mim, at("12:55"))) for person in people]


def test_who_read_about_it_is_asked(mim: User, stakeholder: User) -> None:
    incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))
    milestone = actions.cut_milestone(incident, title="Known", body="x", stamp=stamp(mim), next_update_eta=at("12:20"))
    ReadReceipt.objects.create(incident=incident, milestone=milestone, user=stakeholder, read_at=NOON)
    ReadReceipt.objects.create(incident=incident, milestone=milestone, user=mim, read_at=NOON)
    actions.resolve(incident, summary="Over.", stamp=stamp(mim, at("12:30")))
    assert [row.user for row in SurveyInvitation.objects.all()] == [stakeholder]


def test_looking_records_nothing_and_the_number_only_preselects(asked: list[SurveyInvitation], client: Client) -> None:
    answer = client.get(path_of(asked[0]) + "?score=4")
    assert answer.status_code == 200
    assert 'value="4" required id="survey-score_3" checked' in answer.content.decode()
    assert not SurveyResponse.objects.exists()


def test_the_latest_answer_counts_until_it_closes(asked: list[SurveyInvitation], client: Client, clock: Any) -> None:
    for score in (2, 5):
        assert client.post(path_of(asked[0]), {"score": score}).status_code == 200
    assert list(SurveyResponse.objects.values_list("score", flat=True)) == [2, 5]
    clock(at("12:50") + 7 * DAY + timedelta(seconds=1))
    assert client.post(path_of(asked[0]), {"score": 1}).status_code == 410
    assert SurveyResponse.objects.count() == 2


@pytest.mark.parametrize("token", ["nonsense", "01ARZ3NDEKTSV4RRFFQ69G5FAV.forged"])
def test_a_link_nobody_signed_leads_nowhere(asked: list[SurveyInvitation], client: Client, token: str) -> None:
    assert client.get(f"/s/{token}").status_code == 404
    assert client.post(f"/s/{token}", {"score": 5}).status_code == 404


def test_three_answers_make_the_kpi_and_two_do_not(asked: list[SurveyInvitation], client: Client) -> None:
    def mean() -> float | None:
        backfill(KpiDefinition.objects.get(slug="stakeholder-satisfaction"), as_of=at("13:30"))
        rows = KpiObservation.objects.current().filter(kpi="stakeholder-satisfaction")
        return rows.rollups().get(window="all", dims_key="").value

    scores = iter((1, 4, 5, 5))
    for invitation in (*asked[:2], asked[0]):
        client.post(path_of(invitation), {"score": next(scores)})
    assert mean() is None
    client.post(path_of(asked[2]), {"score": 3})
    assert mean() == pytest.approx((5 + 4 + 3) / 3)


def test_answers_are_shown_from_three_on_and_without_names(
    asked: list[SurveyInvitation], client: Client, mim: User, page_as: Knock, resolved: Incident
) -> None:
    address = f"/incidents/{resolved.pk}/survey"
    for number, invitation in enumerate(asked[:3]):
        assert "Tell us earlier" not in page_as(mim).get(address).content.decode()
        client.post(path_of(invitation), {"score": 4, "comment": "Tell us earlier" if number == 0 else ""})
    text = Page(page_as(mim).get(address).content.decode()).text
    assert "from 3 answers. 75 % of the 4 who were asked" in text
    assert "Tell us earlier" in text


def test_what_somebody_took_back_is_shown_no_more(
    asked: list[SurveyInvitation], client: Client, mim: User, page_as: Knock, resolved: Incident
) -> None:
    for invitation, comment in zip(
        [*asked[:3], asked[0]], ["It was R.'s fault", "", "", "Tell us earlier"], strict=True
    ):
        client.post(path_of(invitation), {"score": 4, "comment": comment})
    text = page_as(mim).get(f"/incidents/{resolved.pk}/survey").content.decode()
    assert ("Tell us earlier" in text, "fault" in text) == (True, False)


def test_the_link_tells_nothing_of_an_incident_that_one_may_not_see_any_more(
    asked: list[SurveyInvitation], client: Client, resolved: Incident, mim: User
) -> None:
    token = path_of(asked[0]).rpartition("/")[2]
    actions.edit_incident(resolved, {"restricted": True, "title": "Stolen keys"}, stamp=stamp(mim, at("12:58")))
    for address in (f"/s/{token}", f"/api/v1/surveys/{token}"):
        assert client.get(address).status_code == client.post(address, {"score": 5}).status_code == 404


def test_while_it_goes_on_again_the_survey_waits(asked: list[SurveyInvitation], resolved: Incident, mim: User) -> None:
    actions.reopen(resolved, reason="It is back.", stamp=stamp(mim, at("12:58")))
    with pytest.raises(SurveyIsClosed):
        actions.answer_survey(resolved, asked[0], 5, stamp=stamp(asked[0].user, at("12:59")))


# --- KPIs, links, reopening, the past ---


def test_reviews_in_time_are_a_kpi(resolved: Incident, mim: User) -> None:
    late = actions.resolve(IncidentFactory(), summary="Over.", stamp=stamp(mim, at("12:30")))
    publish(resolved, mim)
    due = KpiDefinition.objects.get(slug="after-action-in-72h")
    backfill(due, as_of=at("2026-03-10T00:00"))
    figure = KpiObservation.objects.current().rollups().get(kpi=due, window="all", dims_key="")
    assert (figure.value, figure.n) == (50.0, 2)
    assert late.review.state == "draft"


def test_a_duplicate_counts_once_and_both_keep_their_records(resolved: Incident, mim: User) -> None:
    double = IncidentFactory(closed=True, title="Orders fail")
    link = actions.link_incidents(
        double, resolved, kind="duplicate", reason="One outage.", stamp=stamp(mim, at("13:00"))
    )
    mttr = KpiDefinition.objects.get(slug="mttr")

    def counted() -> int:
        backfill(mttr, as_of=at("2026-03-03T00:00"))
        return KpiObservation.objects.current().rollups().get(kpi=mttr, window="all", dims_key="").n

    assert counted() == 1
    assert double.timeline.latest("id").title == "Marked as a duplicate of another incident"
    actions.unlink_incidents(resolved, link, reason="Two outages.", stamp=stamp(mim, at("13:05")))
    assert counted() == 2
    assert IncidentLink.objects.get().removed_because == "Two outages."


def test_a_link_shows_only_to_who_knows_both_ends(resolved: Incident, mim: User, stakeholder: User) -> None:
    hidden = IncidentFactory(restricted=True)
    actions.link_incidents(resolved, hidden, kind="related", reason="x", stamp=stamp(mim, at("13:00")))
    rows = IncidentLink.objects.all()
    assert visible(rows, mim).exists()
    assert not visible(rows, stakeholder).exists()


def test_too_late_to_reopen_opens_a_new_linked_one(resolved: Incident, mim: User, page_as: Knock, clock: Any) -> None:
    clock(at("12:51") + DAY)
    answer = page_as(mim).post(f"/incidents/{resolved.pk}/reopen", {"reason": "It is back.", "phase": 3})
    new = Incident.objects.exclude(pk=resolved.pk).get()
    assert answer["Location"] == f"/incidents/{new.pk}/"
    resolved.refresh_from_db()
    assert (resolved.status, new.phase, new.affected_systems) == ("resolved", 1, ["Checkout"])
    assert (new.links.get().other, new.links.get().kind) == (resolved, "follows")


def test_a_past_incident_has_its_own_times(mim: User, page_as: Knock) -> None:
    said = {
        "title": "Mail was down",
        "severity": "high",
        "detected_at": "2026-03-01T10:00Z",
        "resolved_at": "2026-03-01T11:00Z",
    }
    assert page_as(mim).post("/incidents/new/past", said).status_code == 302
    incident = Incident.objects.get()
    assert (incident.kind, incident.detected_at, incident.opened_by) == ("backfilled", at("2026-03-01T10:00"), mim)
    recompute_incident(incident.pk, now=at("13:00"))
    assert KpiObservation.objects.current().get(kpi="mttr", incident=incident).confidence < 1


def test_a_past_incident_does_not_end_before_it_began(mim: User, page_as: Knock) -> None:
    said = {"title": "Mail", "severity": "high", "detected_at": "2026-03-01T10:00Z", "resolved_at": "2026-03-01T09:00Z"}
    assert page_as(mim).post("/incidents/new/past", said).status_code == 422
    assert not Incident.objects.exists()


def test_what_was_seen_before_says_how_it_ended(resolved: Incident, mim: User, page_as: Knock) -> None:
    again = IncidentFactory(title="Orders", affected_systems=["Checkout"])
    text = Page(page_as(mim).get(f"/incidents/{again.pk}/beside").content.decode()).text
    assert "same system: Checkout" in text
    assert "Failed over to the standby." in text


# --- The calendar ---


def _events(answer: Any) -> dict[str, Any]:
    return {str(event["uid"]): event for event in Calendar.from_ical(answer.content).walk("VEVENT")}


def test_the_calendar_keeps_its_ids_and_counts_changes(resolved: Incident, mim: User, client: Client) -> None:
    feed = actions.open_calendar(stamp(mim))
    uid = f"review-{LearningReview.objects.get().pk}@majorops"
    before = _events(client.get(f"/calendar/{feed_token(feed)}.ics"))[uid]
    write(resolved, mim)
    after = _events(client.get(f"/calendar/{feed_token(feed)}.ics"))[uid]
    assert before["dtstart"].dt == at("12:50") + timedelta(hours=72)
    assert before["dtstart"].dt.utcoffset() == timedelta(0)
    assert (before["sequence"], after["sequence"]) == (1, 2)


def test_a_promise_is_in_everybodys_calendar(mim: User, stakeholder: User, page_as: Knock) -> None:
    incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))
    actions.cut_milestone(incident, title="Known", body="x", stamp=stamp(mim), next_update_eta=at("14:00"))
    events = _events(page_as(stakeholder).get("/calendar.ics"))
    assert events[f"update-{incident.pk}@majorops"]["dtstart"].dt == at("14:00")
    assert len(events) == 1


def test_a_moved_promise_is_another_sequence_of_the_same_event(mim: User, stakeholder: User, page_as: Knock) -> None:
    """Calendars keep the older time of an event whose sequence has not grown (RFC 5545)."""
    incident = actions.open_incident(title="Checkout fails", severity="critical", stamp=stamp(mim))
    actions.cut_milestone(incident, title="Known", body="x", stamp=stamp(mim), next_update_eta=at("14:00"))
    [before] = _events(page_as(stakeholder).get("/calendar.ics")).values()
    actions.move_promise(incident, at("14:30"), reason="It takes longer", stamp=stamp(mim, at("12:10")))
    [after] = _events(page_as(stakeholder).get("/calendar.ics")).values()
    assert (before["uid"], after["dtstart"].dt) == (after["uid"], at("14:30"))
    assert after["sequence"] > before["sequence"]


def test_a_revoked_address_is_gone(mim: User, client: Client, page_as: Knock) -> None:
    page_as(mim).post("/calendar", {})
    address = f"/calendar/{feed_token(CalendarFeed.objects.get())}.ics"
    assert client.get(address).status_code == 200
    page_as(mim).post("/calendar", {"revoke": "1"})
    assert client.get(address).status_code == 404


# --- The API ---


def test_a_review_is_written_and_sent_on_by_api(resolved: Incident, mim: User, client_as: Knock) -> None:
    client, path = client_as(mim), f"/api/v1/incidents/{resolved.pk}/review"
    read = client.get(path)
    texts = {"sections": {"causes": "Full disk."}}
    assert client.patch(path, texts, "application/json").status_code == 428
    written = client.patch(path, texts, "application/json", headers={"If-Match": read["ETag"]})
    answer = client.patch(path, {"state": "in_review"}, "application/json", headers={"If-Match": written["ETag"]})
    assert (answer.status_code, answer.json()["state"]) == (200, "in_review")
    stale = client.patch(path, {"owner": None}, "application/json", headers={"If-Match": read["ETag"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "review_changed")


def test_a_program_needs_the_right_to_publish_for_the_words_of_a_review_for_the_public(
    resolved: Incident, mim: User
) -> None:
    path = f"/api/v1/incidents/{resolved.pk}/review"
    said = {
        "data": {"publicText": "A disk was full."},
        "content_type": "application/json",
        "headers": {"If-Match": "*"},
    }
    writes = (Scope.INCIDENTS_READ_INTERNAL, Scope.INCIDENTS_WRITE)
    assert program_with(*writes).patch(path, **said).status_code == 403
    publisher = program_with(*writes, Scope.PUBLISH, name="Publisher")
    assert publisher.patch(path, **said).json()["publicText"] == "A disk was full."
    publish(resolved, mim)
    assert publisher.patch(path, **said).json()["code"] == "review_published"


def test_a_survey_is_answered_by_its_link_alone(asked: list[SurveyInvitation], client: Client) -> None:
    path = "/api/v1/surveys/" + path_of(asked[0]).rpartition("/")[2]
    assert client.get(path).json()["score"] is None
    assert client.post(path, {"score": 9}, "application/json").status_code == 422
    assert client.post(path, {"score": 4}, "application/json").json()["score"] == 4


def test_reopening_too_late_by_api_says_where_the_new_one_is(
    resolved: Incident, mim: User, client_as: Knock, clock: Any
) -> None:
    clock(at("12:51") + DAY)
    answer = client_as(mim).post(f"/api/v1/incidents/{resolved.pk}/reopen", {"reason": "Back."}, "application/json")
    assert answer.status_code == 201
    assert client_as(mim).get(answer["Location"]).json()["title"] == "Checkout fails"
