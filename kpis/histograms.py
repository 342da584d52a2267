"""Rolling means and percentiles of arrivals, for all teams and levels at once.

    overview(end_day)   every team and level over 30, 60 and 90 whole days. The one way in: it chooses
    exact(...)          from single arrivals, by one query that a covering index answers
    counted(...)        from cumulative daily histograms: two rows a window, however many arrivals there are
    follow(incident)    after an incident changed: its arrivals, and the days of its teams from there on
    rebuild(today)      both tables anew
    extend(today)       a row for each day until yesterday, whether somebody came or not; every night

Below a million arrivals the exact way is fast enough and nothing else is kept. Above, the histograms answer as soon as
`mim kpi histograms` has built them once; from then on they are kept up to date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby, islice, product
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max, Model, QuerySet
from django.db.models.functions import Coalesce

from incidents.models import TeamPage
from kpis.evaluate.dispatches import COUNTED
from kpis.histograms_rules import EDGES, NOTHING, ZERO, Mark, Spread, after, between, bucket_of, exactly
from kpis.models import DispatchHistogram, DispatchTime
from kpis.readiness_rules import WINDOWS
from majorops.lib.ulid import ULIDField
from teams.alarm import AlarmLevel
from teams.models import Team

M = TypeVar("M", bound=Model)
#: From so many arrivals on, histograms answer.
LARGE = 1_000_000
LEVELS = tuple(reversed(AlarmLevel.values))
#: Team (its slug), alarm level, days.
Key = tuple[str, str, int]
#: Team (its id), alarm level.
Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Overview:
    """Of each team and level that had an arrival: a spread for each window that ends with the day before `end_day`."""

    end_day: date
    spreads: dict[Key, Spread]
    is_approximate: bool


def overview(end_day: date, team: Team | None = None) -> Overview:
    """Every team, or one. One team is always told exactly: its few rows are read in no time."""
    if team is None and is_large() and DispatchHistogram.objects.exists():
        return Overview(end_day, counted(end_day), is_approximate=True)
    return Overview(end_day, exact(end_day, team), is_approximate=False)


def is_large() -> bool:
    """By the database's own estimate: to count ten million rows takes longer than to ask the question."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [DispatchTime._meta.db_table])
        else:
            cursor.execute(f"SELECT max(rowid) FROM {DispatchTime._meta.db_table}")  # noqa: S608  (our own name)
        found = cursor.fetchone()
    return bool(found and (found[0] or 0) >= LARGE)


def zone() -> ZoneInfo:
    return ZoneInfo(settings.MAJOROPS_REPORTING_ZONE)


def midnight(day: date) -> datetime:
    """The beginning of a day in the reporting zone."""
    return datetime.combine(day, time.min, zone())


# --- From single arrivals ---


def exact(end_day: date, team: Team | None = None) -> dict[Key, Spread]:
    read = _exact_by_database if connection.vendor == "postgresql" else _exact_by_python
    return read(end_day, team)


_AGGREGATES = ", ".join(
    "count(*) FILTER (WHERE at >= %s), sum(minutes) FILTER (WHERE at >= %s), "
    "percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY minutes) FILTER (WHERE at >= %s)"
    for _ in WINDOWS
)
#: Grouped by the id, which is what the index has, and named only afterwards.
_EXACT = f"""
    SELECT team.slug, found.* FROM (
        SELECT team_id, level, {_AGGREGATES} FROM dispatch_times
        WHERE at >= %s AND at < %s AND (%s::uuid IS NULL OR team_id = %s::uuid) GROUP BY team_id, level
    ) AS found JOIN teams AS team ON team.id = found.team_id
"""  # noqa: S608  (nothing in it comes from outside)


def _exact_by_database(end_day: date, team: Team | None) -> dict[Key, Spread]:
    starts = [midnight(end_day - timedelta(days=days)) for days in WINDOWS]
    asked = [_for_database(team.pk) if team else None] * 2
    found: dict[Key, Spread] = {}
    with connection.cursor() as cursor:
        bounds = [start for start in starts for _ in range(3)]
        cursor.execute(_EXACT, [*bounds, starts[-1], midnight(end_day), *asked])
        for slug, _, level, *told in cursor.fetchall():
            for place, days in enumerate(WINDOWS):
                n, total, percentiles = told[3 * place : 3 * place + 3]
                if n:
                    found[slug, level, days] = Spread(n, total / n, *percentiles)
    return found


def _for_database(pk: str) -> Any:
    return ULIDField().get_db_prep_value(pk, connection)


def _exact_by_python(end_day: date, team: Team | None) -> dict[Key, Spread]:
    starts = {days: midnight(end_day - timedelta(days=days)) for days in WINDOWS}
    rows = DispatchTime.objects.filter(at__gte=min(starts.values()), at__lt=midnight(end_day)).order_by()
    rows = rows.filter(team=team) if team else rows
    minutes: dict[Key, list[float]] = defaultdict(list)
    for slug, level, at, value in rows.values_list("team__slug", "level", "at", "minutes").iterator(5000):
        for days, start in starts.items():
            if at >= start:
                minutes[slug, level, days].append(value)
    return {key: exactly(values) for key, values in minutes.items()}


# --- From histograms ---


def counted(end_day: date) -> dict[Key, Spread]:
    """The difference of what stood before two days, for every team and level."""
    marks = _marks_before([end_day, *(end_day - timedelta(days=days) for days in WINDOWS)])
    found: dict[Key, Spread] = {}
    for (slug, level, bound), end in marks.items():
        if bound != end_day:
            continue
        for days in WINDOWS:
            spread = between(marks.get((slug, level, end_day - timedelta(days=days)), ZERO), end)
            if spread is not NOTHING:
                found[slug, level, days] = spread
    return found


#: Team (its slug), alarm level, the first day that is not in it.
Place = tuple[str, str, date]


def _marks_before(bounds: Sequence[date]) -> dict[Place, Mark]:
    """By place, what stood at the end of the day before. A cell has a row for each day since its first, up to the last
    run of `extend`: one look at four days finds nearly all. What is not there is looked up one by one."""
    days = [bound - _DAY for bound in bounds]
    rows = DispatchHistogram.objects.filter(day__in=days).order_by()
    found = {
        (slug, level, day + _DAY): Mark(n, total, bytes(counts))
        for slug, level, day, n, total, counts in rows.values_list(*_TOLD)
    }
    slugs = Team.objects.order_by().values_list("slug", flat=True)
    missing = [place for place in product(slugs, LEVELS, bounds) if place not in found]
    return found | _looked_up(missing)


_DAY = timedelta(days=1)
_TOLD = ("team__slug", "level", "day", "n", "total", "counts")


def _looked_up(places: Sequence[Place]) -> dict[Place, Mark]:
    """The newest row before each place: for teams that came to no call of late, or never. One query."""
    if not places:
        return {}
    is_text = connection.vendor == "sqlite"
    asked = [part for slug, level, day in places for part in (slug, level, day.isoformat() if is_text else day)]
    statement = f"""
        WITH places(slug, level, bound) AS (VALUES {", ".join(["(%s, %s, %s)"] * len(places))})
        SELECT places.slug, places.level, places.bound, marks.n, marks.total, marks.counts
        FROM places JOIN teams AS team ON team.slug = places.slug
        JOIN dispatch_histograms AS marks ON marks.id = (
            SELECT id FROM dispatch_histograms AS each
            WHERE each.team_id = team.id AND each.level = places.level AND each.day < places.bound
            ORDER BY each.day DESC LIMIT 1
        )
    """  # noqa: S608  (nothing in it comes from outside)
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        rows = cursor.fetchall()
    return {
        (slug, level, date.fromisoformat(day) if isinstance(day, str) else day): Mark(n, total, bytes(counts))
        for slug, level, day, n, total, counts in rows
    }


# --- Keeping both ---


def arrivals() -> QuerySet[Any]:
    """The dispatches that count, as team-page-to-bridge counts them; the manager leaves void ones out."""
    rows: QuerySet[Any] = TeamPage.objects.filter(
        incident__restricted=False, incident__kind__in=COUNTED, cancelled_at=None, arrived_at__gte=F("paged_at"),
        alarm_level__in=LEVELS,
    )  # fmt: skip
    return rows.annotate(answering=Coalesce("team__merged_into", "team")).order_by("pk")


def _rows(pages: QuerySet[Any]) -> Iterator[DispatchTime]:
    found = pages.values_list("pk", "answering", "alarm_level", "paged_at", "arrived_at")
    for pk, team, level, paged_at, arrived_at in found.iterator(5000):
        minutes = (arrived_at - paged_at) / timedelta(minutes=1)
        yield DispatchTime(page_id=pk, team_id=team, level=level, at=paged_at, minutes=minutes)


@transaction.atomic
def follow(incident_id: str) -> None:
    """Brings the arrivals of one incident up to date, and the days that follow them. The same again writes nothing."""
    wanted = {row.page_id: row for row in _rows(arrivals().filter(incident=incident_id))}
    known = {row.page_id: row for row in DispatchTime.objects.filter(page__incident=incident_id)}
    gone = [row for key, row in known.items() if _said(row) != _said(wanted.get(key))]
    new = [row for key, row in wanted.items() if _said(row) != _said(known.get(key))]
    if not gone and not new:
        return
    # Of two incidents with one team, the second counts what the first wrote.
    list(
        Team.objects.select_for_update(no_key=True).filter(pk__in={row.team_id for row in (*gone, *new)}).order_by("pk")
    )
    DispatchTime.objects.filter(pk__in=[row.page_id for row in gone]).delete()
    DispatchTime.objects.bulk_create(new)
    if DispatchHistogram.objects.exists():
        for cell, day in _first_days((*gone, *new)).items():
            recount(cell, day)


def _said(row: DispatchTime | None) -> tuple[object, ...] | None:
    return None if row is None else (row.team_id, row.level, row.at, row.minutes)


def _first_days(rows: Iterable[DispatchTime]) -> dict[Cell, date]:
    """The earliest day on which something changed, per cell."""
    found: dict[Cell, date] = {}
    for row in rows:
        cell, day = (row.team_id, row.level), row.at.astimezone(zone()).date()
        found[cell] = min(day, found.get(cell, day))
    return found


def recount(cell: Cell, day: date) -> None:
    """Every row of a cell from `day` on, anew."""
    team, level = cell
    kept = DispatchHistogram.objects.filter(team=team, level=level)
    before = kept.filter(day__lt=day).order_by("-day").first()
    start = Mark(before.n, before.total, bytes(before.counts)) if before else ZERO
    last = kept.aggregate(last=Max("day"))["last"] or day
    kept.filter(day__gte=day).delete()
    rows = DispatchTime.objects.filter(team=team, level=level, at__gte=midnight(day))
    came = _filled(_days_of(rows), start, cell, before.day if before else None, through=last)
    DispatchHistogram.objects.bulk_create(came)


@transaction.atomic
def extend(today: date) -> int:
    """Gives every cell a row for each day up to yesterday, as if nothing came: so that reading finds them at once."""
    written = 0
    newest = DispatchHistogram.objects.values("team", "level").annotate(last=Max("day")).order_by()
    for team, level, last in list(newest.values_list("team", "level", "last")):
        if last < today - _DAY:
            row = DispatchHistogram.objects.get(team=team, level=level, day=last)
            mark = Mark(row.n, row.total, bytes(row.counts))
            rows = _filled((), mark, (team, level), last, through=today - _DAY)
            written += len(DispatchHistogram.objects.bulk_create(rows))
    return written


@dataclass(frozen=True, slots=True)
class _Day:
    cell: Cell
    day: date
    buckets: Sequence[int]
    total: float


def _days_of(rows: QuerySet[DispatchTime]) -> Iterator[_Day]:
    """The arrivals of each cell and day, in that order."""
    local = zone()
    ordered = rows.order_by("team", "level", "at").values_list("team_id", "level", "at", "minutes").iterator(5000)
    for (team, level, day), found in groupby(
        ordered, key=lambda row: (row[0], row[1], row[2].astimezone(local).date())
    ):
        minutes = [row[3] for row in found]
        yield _Day((team, level), day, [bucket_of(each) for each in minutes], sum(minutes))


def _filled(
    days: Iterable[_Day], mark: Mark, cell: Cell, last: date | None, *, through: date
) -> Iterator[DispatchHistogram]:
    """A row for each day after `last`, or since the first arrival; those without an arrival repeat what stood."""
    for came in days:
        yield from _repeated(cell, mark, last, came.day)
        mark = after(mark, came.buckets, came.total)
        yield _row(cell, came.day, mark)
        last = came.day
    yield from _repeated(cell, mark, last, through + _DAY)


def _repeated(cell: Cell, mark: Mark, last: date | None, until: date) -> Iterator[DispatchHistogram]:
    day = last + _DAY if last is not None else until
    while day < until:
        yield _row(cell, day, mark)
        day += _DAY


def _row(cell: Cell, day: date, mark: Mark) -> DispatchHistogram:
    return DispatchHistogram(team_id=cell[0], level=cell[1], day=day, n=mark.n, total=mark.total, counts=mark.counts)


@transaction.atomic
def rebuild(today: date) -> tuple[int, int]:
    """Both tables from the dispatches, up to yesterday; how many rows each has then."""
    DispatchTime.objects.all().delete()
    for batch in _batches(_rows(arrivals()), 5000):
        DispatchTime.objects.bulk_create(batch)
    return DispatchTime.objects.count(), rebuild_histograms(today)


@transaction.atomic
def rebuild_histograms(today: date) -> int:
    """The histograms from the arrivals that are there."""
    DispatchHistogram.objects.all().delete()
    if connection.vendor == "postgresql":
        return _rebuild_by_copy(today)
    written = 0
    for rows in _cells(_days_of(DispatchTime.objects.all()), today):
        written += len(DispatchHistogram.objects.bulk_create(rows))
    return written


def _cells(days: Iterator[_Day], today: date) -> Iterator[list[DispatchHistogram]]:
    """All rows of one cell after the other."""
    for cell, found in groupby(days, key=lambda day: day.cell):
        yield list(_filled(found, ZERO, cell, None, through=today - _DAY))


def _rebuild_by_copy(today: date) -> int:
    """By way of a table that is sorted by day at the end: what is read together then lies together, and a reading
    looks at four days of all cells. There may be half a million rows."""
    columns = "team_id, level, day, n, total, counts"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS unsorted_histograms")
        cursor.execute(
            f"CREATE TEMPORARY TABLE unsorted_histograms AS SELECT {columns} FROM dispatch_histograms WITH NO DATA"  # noqa: S608
        )
        # A cell at a time: one connection cannot read and COPY at once.
        for rows in _cells(_days_by_database(), today):
            _copy(rows, f"COPY unsorted_histograms ({columns}) FROM STDIN")
        cursor.execute(
            f"INSERT INTO dispatch_histograms ({columns}) SELECT {columns} FROM unsorted_histograms"  # noqa: S608
            " ORDER BY day, team_id, level"
        )
        written: int = cursor.rowcount
        cursor.execute("DROP TABLE unsorted_histograms")
    return written


def _copy(rows: Sequence[DispatchHistogram], statement: str) -> None:
    # Django does not know COPY, so its errors would come as the driver's.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row((_for_database(row.team_id), row.level, row.day, row.n, row.total, row.counts))


_DAYS = """
    SELECT team_id, level, (at AT TIME ZONE %s)::date AS day,
           array_agg(width_bucket(minutes, %s::float8[])), sum(minutes)
    FROM dispatch_times GROUP BY team_id, level, day ORDER BY team_id, level, day
"""


def _days_by_database() -> Iterator[_Day]:
    field = ULIDField()
    with connection.chunked_cursor() as cursor:
        cursor.execute(_DAYS, [str(zone()), list(EDGES)])
        while rows := cursor.fetchmany(2000):
            for team, level, day, buckets, total in rows:
                yield _Day((str(field.to_python(team)), level), day, buckets, total)


def _batches(rows: Iterator[M], size: int) -> Iterator[list[M]]:
    while batch := list(islice(rows, size)):
        yield batch
