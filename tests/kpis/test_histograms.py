"""Rolling means and percentiles of all teams: from single arrivals and from histograms, and both say the same."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from incidents import actions
from incidents.models import TeamPage
from kpis import histograms
from kpis.histograms import counted, exact, extend, follow, midnight, overview, rebuild, recount
from kpis.histograms_rules import BUCKETS, EDGES, FIRST, WORST, ZERO, after, between, bucket_of, exactly
from kpis.models import DispatchHistogram, DispatchTime
from teams.models import Team
from tests.cast import Knock
from tests.factories import IncidentFactory, TeamFactory, TeamPageFactory, at, stamp
from tests.pages import Page

END = date(2026, 3, 31)
MINUTES = st.floats(FIRST, EDGES[-1] - 1, allow_nan=False)


# --- The rule ---


@given(st.lists(MINUTES, min_size=1, max_size=200), st.lists(MINUTES, max_size=50))
def test_a_span_is_the_difference_of_two_marks(inside: list[float], before: list[float]) -> None:
    start = after(ZERO, [bucket_of(one) for one in before], sum(before))
    end = after(start, [bucket_of(one) for one in inside], sum(inside))
    found, true = between(start, end), exactly(inside)
    assert (found.n, found.mean) == (true.n, pytest.approx(true.mean, rel=1e-9))
    for told, known in ((found.median, true.median), (found.p90, true.p90)):
        assert told == pytest.approx(known, rel=WORST + 1e-9)


def test_the_error_is_within_three_percent() -> None:
    assert WORST < 0.03


def test_edges_belong_to_the_bucket_they_begin() -> None:
    assert [bucket_of(edge) for edge in (0.0, FIRST / 2)] == [0, 0]
    assert all(bucket_of(edge) == place + 1 for place, edge in enumerate(EDGES))
    assert bucket_of(10**9) == BUCKETS - 1


def test_what_lies_beyond_the_last_edge_has_no_percentile() -> None:
    found = between(ZERO, after(ZERO, [BUCKETS - 1], 5000.0))
    assert (found.n, found.mean, found.median) == (1, 5000, None)


def test_nothing_is_no_number() -> None:
    assert exactly([]) == between(ZERO, ZERO)
    assert between(ZERO, ZERO).mean is None


# --- From the database ---

ARRIVALS = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from(["box3", "box1"]), st.integers(0, 1), st.floats(0.5, 200)),
    max_size=25,
)  # fmt: skip


def called(team: Team, days_before: float, minutes: float, level: str = "box3", **about: object) -> TeamPage:
    paged_at = midnight(END) - timedelta(days=days_before) + timedelta(hours=1)
    incident = IncidentFactory(closed=True, detected_at=paged_at, **about)
    arrived = paged_at + timedelta(minutes=minutes)
    return TeamPageFactory(team=team, incident=incident, paged_at=paged_at, arrived_at=arrived, alarm_level=level)


def both_agree(end: date = END) -> int:
    """How many cells were compared."""
    true, found = exact(end), counted(end)
    assert true.keys() == found.keys()
    for key, known in true.items():
        told = found[key]
        assert (told.n, told.mean) == (known.n, pytest.approx(known.mean, rel=1e-9))
        assert told.median == pytest.approx(known.median, rel=WORST + 1e-9)
        assert told.p90 == pytest.approx(known.p90, rel=WORST + 1e-9)
    return len(true)


@pytest.fixture
def team(db: None) -> Team:
    return TeamFactory(slug="database", name="Database")


@pytest.mark.django_db
@given(st.data())
def test_raw_rows_and_histograms_say_the_same(data: st.DataObject) -> None:
    """Whatever arrived when, however the days lie, and after single corrections too."""
    from django.db import transaction

    with transaction.atomic():
        teams = [TeamFactory(), TeamFactory()]
        rebuild(END)
        DispatchHistogram.objects.bulk_create(
            [DispatchHistogram(team=teams[0], level="box2", day=date(2020, 1, 1), n=0, total=0, counts=ZERO.counts)]
        )
        pages = []
        for days, level, which, minutes in data.draw(ARRIVALS):
            page = called(teams[which], days, minutes, level)
            follow(page.incident_id)
            pages.append(page)
        both_agree()
        if pages and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(pages))
            type(gone.incident).objects.filter(pk=gone.incident_id).update(restricted=True)
            follow(gone.incident_id)
            both_agree()
        before = exact(END)
        rebuild(END)
        assert exact(END) == before
        both_agree()
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_a_late_arrival_moves_every_later_day(team: Team) -> None:
    for days in (1, 20, 50, 80):
        called(team, days, 4)
    rebuild(END)
    late = called(team, 60, 40)
    follow(late.incident_id)
    counts = dict(DispatchHistogram.objects.values_list("day", "n"))
    told = {days: counts[END - timedelta(days=days)] for days in (80, 61, 60, 51, 50, 20, 1)}
    assert told == {80: 1, 61: 1, 60: 2, 51: 2, 50: 3, 20: 4, 1: 5}
    assert len(counts) == 80
    assert both_agree() == 3


@pytest.mark.django_db
def test_every_day_until_yesterday_has_a_row_and_reading_does_not_need_it(team: Team) -> None:
    called(team, 40, 4)
    rebuild(END - timedelta(days=20))
    assert DispatchHistogram.objects.latest("day").day == END - timedelta(days=21)
    assert both_agree() == 2
    assert (extend(END), extend(END)) == (20, 0)
    assert DispatchHistogram.objects.latest("day").day == END - timedelta(days=1)
    assert both_agree() == 2


@pytest.mark.django_db
def test_the_same_again_writes_nothing(team: Team, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    page = called(team, 5, 4)
    rebuild(END)
    with django_assert_max_num_queries(4):
        follow(page.incident_id)
    assert DispatchTime.objects.count() == 1


@pytest.mark.django_db
def test_an_action_is_followed(mim: User) -> None:
    incident = actions.open_incident(title="x", severity="critical", stamp=stamp(mim))
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim))
    actions.record_arrival(incident, page, stamp=stamp(mim, at("12:04")))
    follow(incident.pk)
    assert DispatchTime.objects.get().minutes == 4


@pytest.mark.django_db
def test_what_does_not_count_is_in_neither(team: Team) -> None:
    called(team, 5, 4, restricted=True)
    called(team, 5, 4, kind="drill")
    assert rebuild(END) == (0, 0)


@pytest.mark.django_db
def test_days_are_those_of_the_reporting_zone(team: Team, settings: Settings) -> None:
    settings.MAJOROPS_REPORTING_ZONE = "America/New_York"
    page = TeamPageFactory(
        team=team, incident=IncidentFactory(closed=True), paged_at=at("2026-03-08T04:30"),
        arrived_at=at("2026-03-08T04:34"),
    )  # fmt: skip
    rebuild(END)
    assert DispatchHistogram.objects.earliest("day").day == date(2026, 3, 7)
    for end in (date(2026, 3, 7), date(2026, 3, 8), date(2026, 4, 6), date(2026, 4, 7)):
        both_agree(end)
    assert page.pk


@pytest.mark.django_db
def test_few_rows_are_read_and_many_are_counted(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    called(team, 5, 4)
    rebuild(END)
    assert not overview(END).is_approximate
    monkeypatch.setattr(histograms, "is_large", lambda: True)
    assert overview(END).is_approximate
    assert not overview(END, team).is_approximate
    DispatchHistogram.objects.all().delete()
    assert not overview(END).is_approximate, "nobody has built them yet"


@pytest.mark.django_db
def test_one_cell_can_be_counted_anew(team: Team) -> None:
    called(team, 5, 4)
    called(team, 2, 8)
    rebuild(END)
    DispatchHistogram.objects.filter(day__gte=END - timedelta(days=3)).update(n=99)
    recount((team.pk, "box3"), END - timedelta(days=3))
    assert both_agree() == 3


@pytest.mark.django_db
def test_the_page_its_files_and_who_reads_them(
    team: Team, page_as: Knock, client_as: Knock, mim: User, executive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: midnight(END) + timedelta(hours=9))
    called(team, 5, 4)
    rebuild(END)
    page = Page(page_as(mim).get("/teams/arrivals").content.decode())
    assert page.faults == []
    assert "All figures are exact." in page.text
    monkeypatch.setattr(histograms, "is_large", lambda: True)
    assert "percentiles approximate" in page_as(mim).get("/teams/arrivals").content.decode()
    assert len(page_as(mim).get("/teams/arrivals?format=csv").content.decode().splitlines()) == 4
    first = client_as(mim).get("/api/v1/team-arrivals?limit=2").json()
    second = client_as(mim).get(f"/api/v1/team-arrivals?cursor={first['next_cursor']}").json()
    rows = [*first["results"], *second["results"]]
    assert [(row["team"], row["days"], row["meanMinutes"]) for row in rows] == [(team.slug, d, 4) for d in (30, 60, 90)]
    assert (second["next_cursor"], second["previous"] is not None) == (None, True)
    assert page_as(executive).get("/teams/arrivals").status_code == 403
