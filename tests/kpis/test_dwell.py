"""Where the time of incidents goes: stays in phases, what came back, and what is in no figure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from incidents import actions
from incidents.lifecycle import Phase
from incidents.models import Incident
from kpis.dwell import find
from kpis.dwell_rules import ALL, Course, Entry, dwell, stays
from majorops.lib.errors import Invalid
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, PhaseEntryFactory, at, stamp
from tests.pages import Page

LATER = NOON + timedelta(days=1)


def course(*told: tuple[int, float], resolved: float | None = None, severity: str = "high") -> Course:
    """Entries as (phase, minutes after noon)."""
    entries = [Entry(phase, NOON + timedelta(minutes=after)) for phase, after in told]
    return Course(severity, entries, None if resolved is None else NOON + timedelta(minutes=resolved))


def test_a_stay_ends_with_the_next_entry_or_with_the_incident() -> None:
    found = stays(course((1, 0), (2, 5), (6, 20), (8, 50), resolved=50))
    assert [(stay.phase, stay.minutes) for stay in found] == [(1, 5), (2, 15), (6, 30)]


def test_what_comes_back_is_counted_and_adds_its_time() -> None:
    found = dwell([course((1, 0), (3, 10), (6, 20), (3, 40), (6, 45), resolved=50)])
    again = found[Phase.ASSESS, "high"]
    assert (again.n, again.again, again.incidents, again.total) == (2, 1, 1, 15)
    assert found[Phase.MITIGATION, ALL].share == 25 / 50


def test_a_stay_that_goes_on_is_in_no_figure() -> None:
    found = dwell([course((1, 0), (2, 5))])
    assert (found[2, ALL].n, found[2, ALL].going_on, found[2, ALL].median, found[2, ALL].p90) == (0, 1, None, None)


def test_an_end_before_its_beginning_is_invalid_and_not_zero() -> None:
    found = dwell([course((1, 10), (2, 5), resolved=20)])
    assert (found[1, ALL].n, found[1, ALL].invalid, found[1, ALL].mean) == (0, 1, None)


def test_median_and_p90_of_ten() -> None:
    found = dwell([course((1, 0), (2, minutes), resolved=minutes) for minutes in range(1, 11)])
    assert (found[1, ALL].n, found[1, ALL].median, found[1, ALL].p90) == (10, 5.5, 9)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_no_minute_is_lost(phases: list[int]) -> None:
    told = course(*((phase, 7 * place) for place, phase in enumerate(phases)), resolved=7 * len(phases))
    found = dwell([told])
    whole = [one for (_, severity), one in found.items() if severity == ALL]
    assert sum(one.total for one in whole) == pytest.approx(7 * len(phases))
    assert sum(one.share or 0 for one in whole) == pytest.approx(1)
    assert sum(one.again for one in whole) == len(phases) - len(set(phases))


# --- From the database ---


@pytest.mark.django_db
def test_an_undone_entry_is_no_stay(mim: User) -> None:
    incident = actions.open_incident(title="x", severity="critical", stamp=stamp(mim))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(mim, at("12:10")))
    event = incident.timeline.order_by("recorded_at", "pk").last()
    actions.undo(incident, event, stamp=stamp(mim, at("12:10:20")))
    found = find(mim, "all", LATER)
    assert {one.phase for one in found.rows} == {Phase.ALERT}
    assert found.cells[Phase.ALERT, ALL].going_on == 1


def entered(incident: Incident, *told: tuple[int, float]) -> None:
    for phase, after in told:
        moment = incident.detected_at + timedelta(minutes=after)
        PhaseEntryFactory(incident=incident, phase_number=phase, entered_at=moment, recorded_at=moment)


@pytest.mark.django_db
@pytest.mark.parametrize("about", [{"restricted": True}, {"kind": "drill"}, {"detected_at": NOON - timedelta(days=99)}])
def test_what_does_not_count_is_left_out(about: dict[str, object], mim: User) -> None:
    entered(IncidentFactory(**about), (1, 0), (2, 5))
    assert find(mim, "90d", LATER).incidents == 0


@pytest.mark.django_db
def test_two_queries_however_many_incidents(mim: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        entered(IncidentFactory(closed=True), (1, 0), (2, 5), (6, 10))
    with django_assert_num_queries(2):
        assert find(mim, "all", LATER).cells[1, ALL].n == 5


@pytest.mark.django_db
def test_an_unknown_window_is_refused(mim: User) -> None:
    with pytest.raises(Invalid, match="window is one of"):
        find(mim, "7d", LATER)


@pytest.mark.django_db
def test_the_page_its_files_and_who_reads_them(
    page_as: Knock, client_as: Knock, mim: User, executive: User, stakeholder: User
) -> None:
    entered(IncidentFactory(closed=True, severity="high"), (1, 0), (3, 5), (6, 25), (3, 45))
    page = Page(page_as(mim).get("/phase-dwell?window=all").content.decode())
    assert page.faults == []
    assert "1 stay came back" in page.text
    lines = page_as(mim).get("/phase-dwell?window=all&format=csv").content.decode().splitlines()
    assert lines[0].startswith("severity,phase,name,n,incidents,again")
    assert client_as(mim).get("/api/v1/phase-dwell?window=all").json()["phases"][1]["again"] == 1
    assert "No incident in this window." in page_as(mim).get("/phase-dwell?window=30d").content.decode()
    for person in (executive, stakeholder):
        assert page_as(person).get("/phase-dwell").status_code == 403
        assert client_as(person).get("/api/v1/phase-dwell").status_code == 403
