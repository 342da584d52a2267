"""Incidents in admin: to look at, in a bounded number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent, User
from incidents import actions
from incidents.models import Incident
from tests.cast import Knock
from tests.factories import EVENING, NOON, IncidentFactory, TeamFactory, TeamPageFactory, TimelineEventFactory, stamp

pytestmark = pytest.mark.django_db

#: A ULID that no row has.
NOBODY = "01JD8Q6Z6ZJ5C0M5RKVX9T3W4E"
INCIDENTS = "/admin/incidents/incident/"
ENTRIES = "/admin/incidents/timelineevent/"


@pytest.fixture
def busy(mim: User) -> Incident:
    """An incident with rows in every ledger, and a log longer than admin shows."""
    incident = actions.open_incident(title="Uploads fail", severity="critical", stamp=stamp(mim), alert_id="PD-4711")
    actions.assign_role(incident, "mim", stamp=stamp(mim), user=mim)
    for phase in (2, 3, 4):
        actions.advance_phase(incident, phase, stamp=stamp(mim))
    for number in range(10):
        actions.page_team(incident, TeamFactory(), stamp=stamp(mim), user=mim)
        actions.post_update(incident, f"Update {number}", visibility="public", stamp=stamp(mim))
        actions.cut_milestone(
            incident, title=f"Cut {number}", body="We know more.", next_update_eta=EVENING, stamp=stamp(mim)
        )
    return incident


def found(answer: Any) -> list[Any]:
    return list(answer.context["cl"].result_list)


def test_an_incident_and_all_its_ledgers_are_bounded(
    busy: Incident, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(admin_user)
    with django_assert_max_num_queries(15):
        shown = browser.get(f"{INCIDENTS}{busy.pk}/change/").content.decode()
    assert all(text in shown for text in ("Update 9", "Cut 9", "R. Okafor", "Box 3", f'href="/incidents/{busy.pk}/"'))


def test_the_log_shows_its_newest_entries_only(admin_user: User, page_as: Knock) -> None:
    incident = IncidentFactory()
    for number in range(30):
        when = NOON + timedelta(minutes=number)
        TimelineEventFactory(incident=incident, title=f"Entry-{number:02}", occurred_at=when)
    shown = page_as(admin_user).get(f"{INCIDENTS}{incident.pk}/change/").content.decode()
    assert "Entry-29" in shown
    assert "Entry-10" in shown
    assert "Entry-09" not in shown


@pytest.mark.parametrize("page", ["incident", "timelineevent", "statusupdate", "milestone", "teampage"])
def test_every_list_is_bounded(
    page: str, busy: Incident, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any, mim: User
) -> None:
    IncidentFactory.create_batch(30, mim=mim)
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        assert found(browser.get(f"/admin/incidents/{page}/"))


@pytest.mark.parametrize("page", ["timelineevent", "statusupdate", "milestone", "teampage"])
def test_every_row_of_a_ledger_is_bounded(
    page: str, busy: Incident, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(admin_user)
    [row, *_] = found(browser.get(f"/admin/incidents/{page}/"))
    with django_assert_max_num_queries(15):
        assert browser.get(f"/admin/incidents/{page}/{row.pk}/change/").status_code == 200


@pytest.mark.parametrize("term", ["UPLOADS", "pd-4711", "{id}", "  {id} ", "{lower}"])
def test_an_incident_is_found_by_title_alert_or_id(term: str, busy: Incident, admin_user: User, page_as: Knock) -> None:
    IncidentFactory(title="Search is slow")
    asked = term.format(id=busy.pk, lower=busy.pk.lower())
    assert found(page_as(admin_user).get(INCIDENTS, {"q": asked})) == [busy]


@pytest.mark.parametrize("term", [NOBODY, "01JD", "' OR 1=1 --", "%", "é\u212a", "x" * 5000, '"unclosed', "a\0b"])
def test_any_text_may_be_searched_for(term: str, busy: Incident, admin_user: User, page_as: Knock) -> None:
    for page in (INCIDENTS, ENTRIES, "/admin/kpis/kpiobservation/"):
        assert page_as(admin_user).get(page, {"q": term}).status_code == 200


def test_a_ledger_row_is_found_by_its_incident(busy: Incident, admin_user: User, page_as: Knock) -> None:
    TimelineEventFactory()
    rows = found(page_as(admin_user).get(ENTRIES, {"q": busy.pk}))
    assert {row.incident_id for row in rows} == {busy.pk}


@pytest.mark.parametrize(
    ("audience", "titles"), [("both", ["B"]), ("public", ["P"]), ("internal", ["I"]), ("?", ["I", "P", "B"])]
)
def test_entries_for_both_audiences_can_be_listed(
    audience: str, titles: list[str], admin_user: User, page_as: Knock
) -> None:
    for title, visibility in (("B", None), ("P", "public"), ("I", "internal")):
        TimelineEventFactory(title=title, visibility=visibility)
    rows = found(page_as(admin_user).get(ENTRIES, {"audience": audience}))
    assert sorted(row.title for row in rows) == sorted(titles)


@pytest.mark.parametrize("page", ["incident", "timelineevent", "statusupdate", "milestone", "teampage"])
def test_history_is_not_written_here(page: str, busy: Incident, admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    [row, *_] = found(browser.get(f"/admin/incidents/{page}/"))
    before = busy.timeline.count()
    assert browser.get(f"/admin/incidents/{page}/add/").status_code == 403
    assert browser.post(f"/admin/incidents/{page}/{row.pk}/change/", {"title": "Other"}).status_code == 403
    assert browser.post(f"/admin/incidents/{page}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert busy.timeline.count() == before


@pytest.mark.parametrize("id", ["nothing", "01JD", NOBODY])
def test_an_address_of_no_incident_leads_back(id: str, admin_user: User, page_as: Knock) -> None:
    assert page_as(admin_user).get(f"{INCIDENTS}{id}/change/").status_code == 302


def test_calls_without_an_answer_are_found_and_taken_along(admin_user: User, page_as: Knock, mim: User) -> None:
    late, missing = (
        TeamPageFactory(paged_at=NOON, arrived_at=arrived, contact_name=name)
        for arrived, name in ((NOON + timedelta(hours=25), "=late"), (None, "Kim"))
    )
    browser, pages = page_as(admin_user), "/admin/incidents/teampage/"
    assert found(browser.get(pages, {"arrival": "missing"})) == [missing]
    assert found(browser.get(pages, {"arrival": "long"})) == [late]
    taken = browser.post(pages, {"action": "export_csv", "_selected_action": [late.pk]})
    header, row = b"".join(taken).decode().splitlines()
    assert (header.split(",")[:3], row.split(",")[1]) == (["incident", "id", "team"], late.pk)
    assert "'=late" in row
    assert AuditEvent.objects.get(action="export").after == {"team_pages": 1, "format": "csv"}
