"""Reads logs of dispatches as CSV: a row is one team, called to one incident. A mapping says which column holds what.

    called         when the incident became known; dates the times of day that follow it
    paged          when the team was called: what everything is measured from
    acknowledged   it said that it is coming; from before the page, that answers something else and is left out
    arrived        it was there; from before the page, nobody knows when, and the row is refused
    stood_down     it was sent home: counts only for a team that never came
    ended          the incident was over for this team

A time of day without a date is the next one after what it follows: past midnight, if need be. Up to an hour before it
is taken for a clock that was wrong. Where clocks go back, the hour that comes twice is the one that makes it later.
"""

from __future__ import annotations

import codecs
import io
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, BinaryIO
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from incidents.intake import Fate, Problem, printable
from incidents.intake.changelog import UTF_8, ChangeLog, Columns, Reading, Row
from incidents.lifecycle import Severity, box_for
from incidents.past import PastDispatch, PastIncident
from majorops.lib.errors import Invalid
from majorops.lib.times import iso, parse_time
from teams.alarm import AlarmLevel

#: Further back than this, a time of day belongs to the next day.
SLIP = timedelta(hours=1)
#: An answer that takes longer is told: perhaps the clock was wrong.
LONG = timedelta(hours=12)
DATES = ("%d", "%j", "%x", "%c", "%D")
HOURS = ("%H", "%I", "%X", "%c")
ISO = "iso"
MAX_MAPPING = 100_000

#: The team of a name, as an id; None if nobody is called so.
FindTeam = Callable[[str], str | None]

Several = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


def _known_encoding(name: str) -> str:
    """Of a text; codecs knows others."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError):
        raise ValueError(f'there is no encoding of texts called "{printable(name, 20)}"') from None
    return codecs.lookup(name).name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Places(_Part):
    """Names of columns. Of several for one thing, the first that is filled counts."""

    id: str
    team: str
    paged: str
    date: str = ""
    called: str = ""
    acknowledged: str = ""
    arrived: str = ""
    stood_down: Several = ()
    ended: str = ""
    title: Several = ()
    alarm_level: str = ""

    def all(self) -> tuple[str, ...]:
        """Every column that is named, once."""
        single = (self.id, self.team, self.paged, self.date, self.called, self.acknowledged, self.arrived, self.ended)
        named = (*single, self.alarm_level, *self.stood_down, *self.title)
        return tuple(dict.fromkeys(name for name in named if name))


class Spans(_Part):
    """Columns that hold how long after the page instead of a time."""

    acknowledged: str = ""
    arrived: str = ""


class DispatchMapping(_Part):
    """How one kind of log is to be read."""

    source: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.:-]+$")
    columns: Places
    minutes: Spans = Spans()
    seconds: Spans = Spans()
    zone: str = "UTC"
    #: As Python names it: latin-1, cp1252.
    encoding: Annotated[str, AfterValidator(_known_encoding)] = UTF_8
    #: Tried in this order. A format without a day needs the column `date`.
    time_formats: Several = (ISO,)
    date_format: str = "%Y-%m-%d"
    #: Of rows whose column alarm_level says nothing of it.
    alarm_level: AlarmLevel | None = None
    alarm_levels: Mapping[str, AlarmLevel] = Field(default_factory=dict)
    #: Further columns that are kept with the incident as they stand.
    keep: tuple[str, ...] = ()

    def all_columns(self) -> tuple[str, ...]:
        spans = (name for unit in (self.minutes, self.seconds) for name in (unit.acknowledged, unit.arrived) if name)
        return tuple(dict.fromkeys((*self.columns.all(), *spans, *self.keep)))

    @property
    def knows_the_hour(self) -> bool:
        return any(form == ISO or any(mark in form for mark in HOURS) for form in self.time_formats)


DUBLIN_FIRE = DispatchMapping(
    source="dublin-fire",
    columns=Places(
        id="ID",
        team="Station Name",
        date="Date",
        called="TOC",
        paged="ORD",
        acknowledged="MOB",
        arrived="IA",
        stood_down=("MAV", "CD"),
        ended="CD",
        title=("Description",),
    ),
    zone="Europe/Dublin",
    time_formats=("%H:%M:%S",),
    date_format="%d/%m/%Y",
    alarm_level=AlarmLevel.BOX2,
)
FORMATS = {"dublin-fire": DUBLIN_FIRE}


def mapping_from(text: str) -> DispatchMapping:
    """A mapping written as TOML; JSON as well, for it holds the same. Raises Invalid that names what is wrong."""
    if len(text) > MAX_MAPPING:
        raise Invalid(f"A mapping has at most {MAX_MAPPING:,} characters.", field="mapping")
    try:
        if text.lstrip().startswith("{"):
            mapping = DispatchMapping.model_validate_json(text)
        else:
            mapping = DispatchMapping.model_validate(tomllib.loads(text))
        ZoneInfo(mapping.zone)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
        raise Invalid(f"The mapping cannot be used: {told}.", field="mapping") from None
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"The mapping is neither TOML nor JSON: {error}", field="mapping") from None
    except (LookupError, ValueError, OSError):
        raise Invalid(f'The mapping names a time zone that does not exist: "{mapping.zone}".', field="zone") from None
    return mapping


def read(file: BinaryIO, mapping: DispatchMapping, find_team: FindTeam) -> tuple[int, Iterator[Reading]]:
    """How many incidents, and each with its dispatches, after what is odd about it. Raises FileRefused."""
    columns = Columns(incident=mapping.columns.id, required=mapping.all_columns(), encoding=mapping.encoding)
    log = ChangeLog(file, columns)
    return len(log), _readings(log, mapping, find_team)


def _readings(log: ChangeLog, mapping: DispatchMapping, find_team: FindTeam) -> Iterator[Reading]:
    if not mapping.knows_the_hour:
        yield Problem(Fate.KEPT, "all rows", "Their times are days without an hour; midnight stands for it.")
    yield from log.read(lambda number, rows: _Reader(number, mapping, find_team).read(rows))


@dataclass(frozen=True, slots=True)
class _Clock:
    """Reads the times of one row."""

    mapping: DispatchMapping
    zone: ZoneInfo
    day: date | None

    def at(self, text: str, *, after: datetime | None, name: str) -> datetime:
        """The moment meant. Raises Invalid. Before `after` only where it is a time that cannot be."""
        for form in self.mapping.time_formats:
            if form == ISO:
                if (moment := _iso(text, self.zone)) is not None:
                    return parse_time(moment, field=name)
                continue
            try:
                local = datetime.strptime(text, form)  # noqa: DTZ007  # its zone is the mapping's
            except ValueError:
                continue
            if local.tzinfo is not None:
                return parse_time(local, field=name)
            if any(mark in form for mark in DATES):
                return parse_time(_later_of_two(local, self.zone, after), field=name)
            return parse_time(self._on_a_day(local, after, name), field=name)
        wanted = " or ".join(self.mapping.time_formats)
        raise Invalid(f"{name} {printable(text, 40)!r} is no time of the form {wanted}.", field=name)

    def _on_a_day(self, clock: datetime, after: datetime | None, name: str) -> datetime:
        day = after.astimezone(self.zone).date() if after else self.day
        if day is None:
            raise Invalid(f"{name} has no date, and the row has none either.", field=name)
        local = datetime.combine(day, clock.time())
        at = _later_of_two(local, self.zone, after)
        if after is None or after - at <= SLIP:
            return at
        return _later_of_two(local + timedelta(days=1), self.zone, after)


def _later(paged: datetime, text: str, unit: str, column: str) -> datetime:
    """Raises Invalid for what is no number, or leads out of these centuries."""
    try:
        at = paged + timedelta(**{unit: float(text)})
    except (ValueError, OverflowError):
        raise Invalid(f"{column} {printable(text, 20)!r} is no number of {unit}.", field=column) from None
    if at < paged:
        raise Invalid(f"{column} is {printable(text, 20)} {unit}: before the page.", field=column)
    return at


def _iso(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def _later_of_two(local: datetime, zone: ZoneInfo, after: datetime | None) -> datetime:
    """The local time as an instant; of the two that it has where clocks go back, the first that is not too early."""
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return second if after and first < after <= second else first


@dataclass(frozen=True, slots=True)
class _Turnout:
    """What one row says."""

    dispatch: PastDispatch
    line: int
    began: datetime
    ended: datetime


@dataclass(slots=True)
class _Reader:
    """Reads the rows of one incident, and keeps what is odd about each."""

    number: str
    mapping: DispatchMapping
    find_team: FindTeam
    told: list[Problem] = field(default_factory=list)

    def read(self, rows: list[Row]) -> Iterator[Reading]:
        """The incident, after one line for each row that is odd or left out."""
        turnouts: list[_Turnout] = []
        for row in rows:
            try:
                self._add(self._turnout(row), turnouts)
            except Invalid as error:
                self._tell(row, error.message, Fate.REFUSED)
        yield from self.told
        if turnouts:
            yield self._incident(rows, turnouts)

    def _tell(self, row: Row | _Turnout, sentence: str, fate: Fate = Fate.KEPT) -> None:
        self.told.append(Problem(fate, f"{self.number}, line {row.line}", sentence))

    def _add(self, found: _Turnout, turnouts: list[_Turnout]) -> None:
        """Keeps a row unless another says the same. Raises Invalid for a team that is out already."""
        for other in turnouts:
            if other.dispatch.team_id != found.dispatch.team_id:
                continue
            if other.dispatch.paged_at == found.dispatch.paged_at:
                self._tell(found, f"It is the same dispatch as line {other.line}.", Fate.SKIPPED)
                return
            if other.dispatch.is_waiting and found.dispatch.is_waiting:
                raise Invalid(f"{found.dispatch.team_name} is still out since line {other.line}.")
        turnouts.append(found)

    def _turnout(self, row: Row) -> _Turnout:
        columns, clock = self.mapping.columns, self._clock(row)
        name = row.text(columns.team)
        if not name:
            raise Invalid(f"{columns.team} is empty: nobody knows which team was called.")
        if not (team_id := self.find_team(name)):
            raise Invalid(f'No team is called "{printable(name, 40)}". Add it, or an alias.')
        called = self._time(row, clock, columns.called, None)
        paged = self._time(row, clock, columns.paged, called)
        if paged is None:
            raise Invalid(f"{columns.paged} is empty: nobody knows when the team was called.")
        acknowledged = self._acknowledged(row, clock, paged)
        arrived = self._arrived(row, clock, paged)
        ended = self._after(row, clock, columns.ended, paged)
        stood_down = None if arrived else self._stood_down(row, clock, paged) or ended
        dispatch = PastDispatch(
            team_id, printable(name, 80), self._level(row), paged, acknowledged, arrived, stood_down
        )
        known = [at for at in (paged, acknowledged, arrived, stood_down, ended) if at]
        return _Turnout(dispatch, row.line, min(called or paged, paged), max(known))

    def _clock(self, row: Row) -> _Clock:
        name, day = self.mapping.columns.date, None
        if name and (text := row.text(name)):
            try:
                day = datetime.strptime(text, self.mapping.date_format).date()  # noqa: DTZ007  # a day has no zone
            except ValueError:
                told = f"{name} {printable(text, 40)!r} is no date of the form {self.mapping.date_format}."
                raise Invalid(told, field=name) from None
        return _Clock(self.mapping, ZoneInfo(self.mapping.zone), day)

    def _time(self, row: Row, clock: _Clock, column: str, after: datetime | None) -> datetime | None:
        text = row.text(column) if column else ""
        return clock.at(text, after=after, name=column) if text else None

    def _after(self, row: Row, clock: _Clock, column: str, paged: datetime) -> datetime | None:
        """The time in a column; None, told, where it lies before the page."""
        at = self._time(row, clock, column, paged)
        if at is not None and at < paged:
            self._tell(row, f"{column} {iso(at)} is before the page {iso(paged)}; it is left out.")
            return None
        return at

    def _acknowledged(self, row: Row, clock: _Clock, paged: datetime) -> datetime | None:
        at = self._told_span(row, "acknowledged", paged)
        at = at or self._after(row, clock, self.mapping.columns.acknowledged, paged)
        self._wonder(row, at, paged, "acknowledged")
        return at

    def _arrived(self, row: Row, clock: _Clock, paged: datetime) -> datetime | None:
        column = self.mapping.columns.arrived
        at = self._told_span(row, "arrived", paged) or self._time(row, clock, column, paged)
        if at is not None and at < paged:
            raise Invalid(f"{column} {iso(at)} is before the page {iso(paged)}, so nobody knows when the team came.")
        self._wonder(row, at, paged, "arrived")
        return at

    def _wonder(self, row: Row, at: datetime | None, paged: datetime, word: str) -> None:
        if at is not None and at - paged > LONG:
            self._tell(row, f"{word.capitalize()} {(at - paged) / timedelta(hours=1):.1f} hours after the page.")

    def _told_span(self, row: Row, answer: str, paged: datetime) -> datetime | None:
        """When it answered, where a column says how long that took."""
        for unit in ("minutes", "seconds"):
            column = getattr(getattr(self.mapping, unit), answer)
            if column and (text := row.text(column)):
                return parse_time(_later(paged, text, unit, column), field=column)
        return None

    def _stood_down(self, row: Row, clock: _Clock, paged: datetime) -> datetime | None:
        for column in self.mapping.columns.stood_down:
            if at := self._after(row, clock, column, paged):
                return at
        return None

    def _level(self, row: Row) -> AlarmLevel | None:
        column = self.mapping.columns.alarm_level
        said = row.text(column) if column else ""
        if said and said not in self.mapping.alarm_levels:
            self._tell(row, f'The mapping has no alarm level for {column} "{printable(said, 20)}".')
        return self.mapping.alarm_levels.get(said, self.mapping.alarm_level)

    def _incident(self, rows: Sequence[Row], turnouts: Sequence[_Turnout]) -> PastIncident:
        said = [rows[0].text(column) for column in self.mapping.columns.title]
        title = ", ".join(text for text in said if text)
        keep = {name: printable(rows[0].text(name), 500) for name in self.mapping.keep if rows[0].text(name)}
        return PastIncident(
            external_source=self.mapping.source,
            external_id=self.number,
            title=printable(f"{self.number}: {title}" if title else self.number, 200),
            severity=_severity([one.dispatch.alarm_level for one in turnouts]),
            detected_at=min(one.began for one in turnouts),
            resolved_at=max(one.ended for one in turnouts),
            dispatches=tuple(one.dispatch for one in turnouts),
            metadata={**keep, "rows": len(rows)},
        )


def _severity(levels: Sequence[AlarmLevel | None]) -> Severity:
    """The severity that calls teams at the loudest of these levels; low where there is none."""
    return next((one for one in Severity if box_for(one) is not None and box_for(one) in levels), Severity.LOW)
