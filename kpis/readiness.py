"""Dispatch credit as it is read: which teams a viewer sees how much of, and their record up to a moment.

Every reader gets the same figures, made of what no reader may doubt: void dispatches and those of restricted incidents
are left out, as in the rollups. Who reads less is shown fewer of them, never others. A page costs the same few
queries however many teams and dispatches there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Field, Func, Max, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.models import User
from accounts.roles import Can
from accounts.visibility import Viewer, may
from incidents.lifecycle import Status as IncidentStatus
from incidents.models import TeamPage
from kpis import dispatch_credit as rules
from kpis import stats
from kpis.credit_settings import LEVELS, InForce, in_force
from kpis.dispatch_credit import Credit, Settings
from kpis.evaluate.dispatches import COUNTED
from kpis.readiness_rules import (
    EXCLUDED,
    HEADLINE,
    JUDGED,
    RECENT,
    WINDOWS,
    Case,
    Figures,
    Moved,
    Outlook,
    answers,
    counts_of,
    figures,
    moved,
    outlook,
    together,
    within,
)
from kpis.sources import arrival_confidence
from kpis.visibility import SMALLEST_GROUP
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import parse_time
from majorops.lib.visibility import visible
from teams.models import Team

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


class NoSuchTeam(DomainError):
    """There is nothing here, or nothing you may see."""

    code = "not_found"
    status = 404


class Plain(Func):
    """A time as the database has it, past Django's converters: they take longer than all the rest of a page.

    SQLite gives text without a zone, in UTC; PostgreSQL a time.
    """

    output_field = Field()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS text)", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="%(expressions)s", **context)


def _clock(as_of: datetime) -> tuple[Callable[[Any], datetime], datetime]:
    """How to read a plain time, and `as_of` to compare it with."""
    if connection.vendor == "sqlite":
        return datetime.fromisoformat, as_of.astimezone(UTC).replace(tzinfo=None)
    return (lambda at: at), as_of


# --- What was asked ---


@dataclass(frozen=True, slots=True)
class Asked:
    """Up to which moment, and over how many days. `level` is empty for all."""

    as_of: datetime
    days: int = HEADLINE
    level: str = ""


def asked(now: datetime, *, window: str = "", box: str = "", as_of: str = "") -> Asked:
    """What an address says. Raises Invalid for what it cannot."""
    days = window.removesuffix("d") or str(HEADLINE)
    if days not in map(str, WINDOWS):
        raise Invalid(f"window is one of {', '.join(f'{one}d' for one in WINDOWS)}.", field="window")
    if box and box not in LEVELS:
        raise Invalid(f"box is one of {', '.join(LEVELS)}.", field="box")
    return Asked(_moment(as_of, now), int(days), box)


def _moment(text: str, now: datetime) -> datetime:
    """A day (its beginning in UTC) or a time; now if nothing is said."""
    if not text:
        return now
    found = parse_time(f"{text}T00:00:00Z" if len(text) == len("2026-03-02") else text, field="as_of")
    if found > now:
        raise Invalid("as_of lies ahead. Name a moment that has come.", field="as_of")
    return found


# --- Who sees which teams ---


@dataclass(frozen=True, slots=True)
class Reach:
    """What of the teams a viewer sees: of `full` everything, of `classes` what three dispatches or more tell."""

    full: tuple[Team, ...]
    classes: tuple[Team, ...] = ()

    @property
    def teams(self) -> tuple[Team, ...]:
        return tuple(sorted((*self.full, *self.classes), key=lambda team: team.name.casefold()))


def reach_of(viewer: Viewer, slug: str | None = None) -> Reach:
    """Readers of team response all teams, executives the classes, everybody the teams they are on. Of a merged team,
    the one that answers for it. Raises NoSuchTeam for those who see of no team anything."""
    teams = Team.objects.filter(merged_into=None).order_by("name")
    if slug is not None:
        teams = teams.filter(pk__in=Team.objects.filter(slug=slug).values(answering=Coalesce("merged_into", "pk")))
    full = tuple(visible(teams, viewer))
    if may(viewer, Can.READ_TEAMS):
        return Reach(full)
    if isinstance(viewer, User) and viewer.can(Can.READ_EXEC_KPIS):
        own = {team.pk for team in full}
        return Reach(full, tuple(team for team in teams if team.pk not in own))
    if not full:
        raise NoSuchTeam
    return Reach(full)


# --- The dispatches ---


def dispatches(
    teams: Sequence[Team], as_of: datetime, settings: Settings, *, counted_only: bool = False
) -> dict[str, list[Case]]:
    """By slug the dispatches of the last 90 days before `as_of`, as they were known then; oldest first. One query.

    `counted_only` leaves those out that can never count, and all ids: what many teams are compared by.
    """
    start = as_of - timedelta(days=HEADLINE)
    rows = _counting(teams).filter(paged_at__gte=start, paged_at__lt=as_of)
    if counted_only:
        rows = rows.filter(incident__kind__in=COUNTED, alarm_level__isnull=False).order_by()
    found: dict[str, list[Case]] = defaultdict(list)
    for slug, case in _cases(rows, as_of, settings, Value("") if counted_only else F("pk")):
        found[slug].append(case)
    return found


def _counting(teams: Sequence[Team]) -> QuerySet[TeamPage]:
    """Dispatches that figures of these teams are made of, those of teams that were merged into them too. The manager
    leaves void ones out."""
    rows: QuerySet[TeamPage] = TeamPage.objects.filter(incident__restricted=False)
    keys = [team.pk for team in teams]
    return rows.filter(team__in=Team.objects.order_by().filter(Q(pk__in=keys) | Q(merged_into__in=keys)).values("pk"))


_TEAM = Coalesce("team__merged_into__slug", "team__slug")
_PLAIN = ("alarm_level", "incident__kind", "incident__status", "arrival_source")
_TIMES = ("paged_at", "acknowledged_at", "arrived_at", "cancelled_at", "arrival_recorded_at", "incident__resolved_at")


def _cases(rows: QuerySet[TeamPage], as_of: datetime, settings: Settings, key: F | Value) -> Iterator[tuple[str, Case]]:
    read, now = _clock(as_of)
    found = rows.values_list(key, _TEAM, *_PLAIN, *(Plain(F(name)) for name in _TIMES))
    for pk, slug, name, kind, status, source, began, acked, came, cancelled, written, closed in found.iterator(5000):
        paged = read(began)
        arrival = None if came is None else _after(paged, read(came), now)
        ack = None if acked is None else _after(paged, read(acked), now)
        level, outcome, why = settings.levels.get(name), None, ""
        if kind not in COUNTED:
            why = "a drill or a test"
        elif level is None:
            why = "no alarm level"
        elif arrival is not None:
            outcome = rules.judged(arrival, None, 0, level, settings, is_over=False)
        else:
            stood_down = None if cancelled is None else _after(paged, read(cancelled), now)
            is_over = status == IncidentStatus.RESOLVED and (closed is None or read(closed) < now)
            outcome = rules.judged(None, stood_down, (now - paged) / _MINUTE, level, settings, is_over=is_over)
        if outcome is not None and outcome not in JUDGED:
            why = EXCLUDED[outcome]
        confidence = arrival_confidence(source, came, written)
        yield slug, Case(pk, paged, (now - paged) / _DAY, name or "", outcome, why, arrival, ack, confidence)


def _after(paged: datetime, at: datetime, now: datetime) -> float | None:
    """Minutes from the page; None for what was not known then."""
    return (at - paged) / _MINUTE if at < now else None


def newest(teams: Sequence[Team], as_of: datetime) -> datetime | None:
    """The last dispatch before `as_of`, however long ago: where to look when the windows are empty."""
    found: datetime | None = _counting(teams).filter(paged_at__lt=as_of).aggregate(at=Max("paged_at"))["at"]
    return found


# --- Records ---


@dataclass(frozen=True, slots=True)
class Record:
    """One team in one window. Of a team of which only the class is seen, levels of fewer than three are withheld."""

    team: Team
    is_full: bool
    figures: Mapping[str, Figures]
    withheld: frozenset[str]
    overall: Credit
    #: All levels taken together, each dispatch by its own limit.
    n: int
    met: int
    median: float | None
    moved: Moved

    @property
    def rate(self) -> float | None:
        return self.met / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Board:
    """The records of all teams that a viewer sees something of."""

    asked: Asked
    setting: InForce
    records: tuple[Record, ...]
    newest: datetime | None


def board(viewer: Viewer, asked: Asked) -> Board:
    """All teams by name. Raises NoSuchTeam for who sees of no team anything."""
    reach, setting = reach_of(viewer), in_force(asked.as_of)
    cases = dispatches(reach.teams, asked.as_of, setting.settings, counted_only=True)
    full = {team.pk for team in reach.full}
    records = [
        record(team, cases.get(team.slug, ()), asked, setting.settings, is_full=team.pk in full) for team in reach.teams
    ]
    shown = tuple(one for one in records if one.is_full or one.figures.keys() - one.withheld)
    is_empty = not any(one.n for one in shown)
    return Board(asked, setting, shown, newest(reach.full, asked.as_of) if is_empty and reach.full else None)


def record(team: Team, cases: Sequence[Case], asked: Asked, settings: Settings, *, is_full: bool) -> Record:
    """What the dispatches of a team amount to. One that is asked for at one level has no others."""
    by_level = {
        level: [case for case in cases if case.level == level and case.outcome is not None]
        for level in LEVELS
        if not asked.level or level == asked.level
    }
    found = {level: figures(inside, level, asked.days, settings) for level, inside in by_level.items()}
    withheld = frozenset() if is_full else frozenset(level for level, one in found.items() if one.n < SMALLEST_GROUP)
    seen = {level: inside for level, inside in by_level.items() if level not in withheld}
    return Record(
        team=team,
        is_full=is_full,
        figures={level: one for level, one in found.items() if level not in withheld},
        withheld=withheld,
        overall=rules.overall({level: one.credit for level, one in found.items()}, settings),
        n=sum(found[level].n for level in seen),
        met=sum(found[level].counts.met for level in seen),
        median=_median(seen.values(), asked.days),
        moved=_moved(seen, settings),
    )


def _median(levels: Iterable[Sequence[Case]], days: int) -> float | None:
    came = [case.arrival for cases in levels for case in within(cases, days) if case.is_judged]
    known = [one for one in came if one is not None]
    return stats.median(known) if known else None


def _moved(levels: Mapping[str, Sequence[Case]], settings: Settings) -> Moved:
    """The last 30 days against the 60 before, whatever window is looked at."""
    recent, before = (
        together(counts_of(within(cases, to, after=after), settings.levels[level]) for level, cases in levels.items())
        for after, to in ((0, RECENT), (RECENT, HEADLINE))
    )
    return moved(recent, before, settings)


# --- One team ---


@dataclass(frozen=True, slots=True)
class Sheet:
    """One team in depth. `cases` are those of the last 90 days; empty for who sees only the class."""

    asked: Asked
    setting: InForce
    record: Record
    #: The same team in each window, the shortest first.
    windows: tuple[Record, ...]
    cases: tuple[Case, ...]
    newest: datetime | None

    @property
    def is_full(self) -> bool:
        return self.record.is_full

    def dispatches(self, level: str) -> list[Case]:
        """What stands behind the figures of one level, or of all, and what was left out; newest first."""
        inside = [case for case in within(self.cases, self.asked.days) if not level or case.level in (level, "")]
        return sorted(inside, key=lambda case: (case.paged_at, case.id), reverse=True)

    def outlook(self, level: str) -> Outlook:
        """What would move the class of one level."""
        settings = self.setting.settings
        judged = [case for case in within(self.cases, self.asked.days) if case.level == level and case.is_judged]
        return outlook(*answers(judged), settings.levels[level], settings)


def sheet(viewer: Viewer, slug: str, asked: Asked) -> Sheet:
    """Raises NoSuchTeam for a team that is not there, or of which the viewer sees nothing."""
    reach = reach_of(viewer, slug)
    if not reach.teams:
        raise NoSuchTeam
    (team,), is_full = reach.teams, bool(reach.full)
    setting = in_force(asked.as_of)
    cases = dispatches([team], asked.as_of, setting.settings).get(team.slug, [])
    windows = tuple(
        record(team, cases, replace(asked, days=days, level=""), setting.settings, is_full=is_full) for days in WINDOWS
    )
    found = windows[WINDOWS.index(asked.days)]
    if not is_full and not found.figures:
        raise NoSuchTeam
    last = newest([team], asked.as_of) if is_full and not cases else None
    return Sheet(asked, setting, found, windows, tuple(cases) if is_full else (), last)


def answers_of(viewer: Viewer, cases: Sequence[Case]) -> dict[str, TeamPage]:
    """The rows of these dispatches with their incidents, as far as the viewer may read them. One query."""
    rows = visible(TeamPage.objects.filter(pk__in=[case.id for case in cases]).select_related("incident"), viewer)
    return {row.pk: row for row in rows}
