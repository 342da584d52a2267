"""Where the rows of a formula come from. Every name a formula may use is declared here and nowhere else.

A row is a dictionary of the declared fields, plus what the evaluator needs to give proof:
`ref` (which row this is), `subject_key`, `incident_id`, `subject_open`, `subject_closed_at`, `confidence`; for a
dispatch also `credit`, the setting that it is judged by.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Coalesce

from incidents.lifecycle import EventType, Status
from incidents.models import (
    ArrivalSource,
    Incident,
    IncidentLink,
    LearningReview,
    Milestone,
    Participant,
    PhaseEntry,
    PromiseMove,
    SurveyResponse,
    TeamPage,
    TimelineEvent,
)
from incidents.models import Source as Door
from incidents.past import GONE_AT
from incidents.promises import Outcome, promises
from incidents.survey import ENOUGH
from kpis import dispatch_credit
from kpis.alerts import episodes
from kpis.credit_settings import in_force
from kpis.dispatch_credit import InForce
from kpis.evaluate.rows import is_open, seen
from kpis.facts import rows as facts
from kpis.formulas import FieldType, SourceShape
from kpis.formulas.language import period

Row = Mapping[str, object]
R = TypeVar("R", bound=QuerySet[Any, Any])

#: How far an input can be trusted: stamped by a machine or the person, by the clock of a person's device, seen by the
#: MIM, copied from elsewhere.
MACHINE, SELF, DEVICE, RECORDED, IMPORTED = 1.0, 1.0, 0.9, 0.8, 0.6

#: What every row of an incident's own tables says of its incident.
_OF_INCIDENT = {
    "incident_id": FieldType.ID,
    "incident_kind": FieldType.TEXT,
    "severity": FieldType.TEXT,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows to load: all, or those of one incident; nothing that happened after `as_of` counts.

    Restricted incidents are left out of "all": two readers of one rollup must see one number, and the number must
    not tell most of them that there is an incident they do not know of. Their own samples are still computed.
    """

    as_of: datetime
    incident_id: str | None = None
    with_restricted: bool = False
    #: Only what this person did: for figures of single people, which are computed when asked and never stored.
    user_id: str | None = None
    #: Whether to say what became of each dispatch. Most formulas do not ask, and it takes a tenth of the time.
    with_outcomes: bool = True

    def of(self, rows: R, incident: str = "incident__") -> R:
        """The rows in scope; `incident` is the way from a row to its incident."""
        if self.incident_id:
            return rows.filter(**{f"{incident}pk": self.incident_id})
        return rows if self.with_restricted else rows.filter(**{f"{incident}restricted": False})


@dataclass(frozen=True, slots=True)
class Source:
    shape: SourceShape
    load: Callable[[Scope], Iterable[Row]]
    #: How often a new row should come. Installations may say otherwise (MAJOROPS_EXPECTED_EVERY).
    expected_every: timedelta | None = None


#: Since when an incident was surely over of which nobody knows when it ended.
_GONE = f"metadata__{GONE_AT}"


def _incidents(scope: Scope) -> Iterator[Row]:
    rows = Incident.objects.order_by("pk").values(
        "id", "severity", "kind", "status", "detected_at", "resolved_at", "issue_time", "resolve_time",
        "customer_count", "external_id", _GONE,
    )  # fmt: skip
    for row in scope.of(rows, incident=""):
        ended_unseen = row[_GONE] is not None
        yield {
            **{name: value for name, value in row.items() if name not in ("external_id", _GONE)},
            "resolved_at": None if ended_unseen else row["resolved_at"],
            "ref": f"incident:{row['id']}",
            "subject_key": f"incident:{row['id']}",
            "incident_id": row["id"],
            "subject_open": row["status"] != Status.RESOLVED,
            "subject_closed_at": row["resolved_at"],
            "confidence": MACHINE if row["external_id"] is None else IMPORTED,
        }


def _incident_fields(prefix: str = "incident") -> dict[str, str]:
    return {
        "incident_kind": f"{prefix}__kind",
        "severity": f"{prefix}__severity",
        "status": f"{prefix}__status",
        "closed_at": f"{prefix}__resolved_at",
    }


def _rows_of(queryset: object, columns: dict[str, str]) -> Iterator[dict[str, object]]:
    """Dictionaries with our names for the columns; one query, no model instances."""
    rows = queryset.values_list(*columns.values())  # type: ignore[attr-defined]
    for values in rows.iterator(chunk_size=5000):
        yield dict(zip(columns, values, strict=True))


def _about_subject(row: dict[str, object], subject_key: object, ref: str, confidence: float) -> dict[str, object]:
    """The row, which has just been read, with what the evaluator asks about."""
    row["subject_open"] = row.pop("status") != Status.RESOLVED
    row["subject_closed_at"] = row.pop("closed_at")
    row["ref"], row["subject_key"], row["confidence"] = ref, subject_key, confidence
    return row


def _phase_entries(scope: Scope) -> Iterator[Row]:
    """Entries into phases, at their corrected time where the log entry was corrected."""
    entries = scope.of(PhaseEntry.objects.order_by("entered_at", "pk"))
    corrected = corrected_times(scope)
    columns = {
        "id": "pk", "incident_id": "incident_id", "phase_number": "phase_number", "created_at": "entered_at",
        "event_id": "event_id", "source": "event__source", **_incident_fields(),
    }  # fmt: skip
    for row in _rows_of(entries, columns):
        event_id, imported = row.pop("event_id"), row.pop("source") == "import"
        confidence = IMPORTED if imported else MACHINE
        if event_id in corrected:
            row["created_at"], confidence = corrected[event_id], RECORDED
        yield _about_subject(row, f"incident:{row['incident_id']}", f"phase_entry:{row['id']}", confidence)


def corrected_times(scope: Scope) -> dict[object, datetime]:
    """The last corrected time of each corrected phase entry's log entry."""
    corrections = TimelineEvent.objects.filter(corrects__type=EventType.PHASE, recorded_at__lte=scope.as_of)
    return dict(scope.of(corrections).order_by("recorded_at", "pk").values_list("corrects_id", "occurred_at"))


@dataclass(frozen=True, slots=True)
class _Milestone:
    """A milestone as the promise rule reads it, and what a row tells of its incident."""

    id: str
    published_at: datetime
    next_update_eta: datetime | None
    is_resolution: bool
    of_incident: dict[str, object]


def _moves(scope: Scope) -> dict[object, list[PromiseMove]]:
    """The promises that were moved until then, by incident, in order."""
    found: dict[object, list[PromiseMove]] = defaultdict(list)
    for move in scope.of(PromiseMove.objects.filter(recorded_at__lte=scope.as_of).order_by("recorded_at", "pk")):
        found[move.incident_id].append(move)
    return found


def _update_promises(scope: Scope) -> Iterator[Row]:
    """One row per promise that is judged, or will be. One that was moved in time is judged by what took its place."""
    heard = Case(When(source=Door.IMPORT, then=F("created_at")), default=F("recorded_at"))
    milestones = Milestone.objects.annotate(heard_at=heard).filter(heard_at__lte=scope.as_of)
    milestones = scope.of(milestones.order_by("incident_id", "sequence"))
    moves = _moves(scope)
    own = {name: name for name in ("id", "next_update_eta", "is_resolution")} | {"published_at": "heard_at"}
    rows = _rows_of(milestones, {**own, "incident_id": "incident_id", **_incident_fields()})
    for incident_id, cut in groupby(rows, key=itemgetter("incident_id")):
        made = [_Milestone(**{name: row.pop(name) for name in own}, of_incident=row) for row in cut]  # type: ignore[arg-type]
        for promise in promises(made, scope.as_of, moves.get(incident_id, ())):
            if promise.outcome == Outcome.REVISED:
                continue
            row = {
                **promise.made_by.of_incident,
                "id": promise.move.id if promise.move else promise.made_by.id,
                "due_at": promise.due_at,
                "delivered_at": promise.delivered_at,
                "state": "pending" if promise.is_pending else "due",
            }
            ref = f"promise_move:{row['id']}" if promise.move else f"milestone:{row['id']}"
            yield _about_subject(row, f"incident:{incident_id}", ref, MACHINE)


def arrival_confidence(source: object, arrived: object, written: object) -> float:
    """How far the time of an arrival can be trusted; the times in any form that tells equal from different."""
    if source != ArrivalSource.SELF:
        return RECORDED
    return SELF if written is None or written == arrived else DEVICE


def _team_pages(scope: Scope) -> Iterator[Row]:
    answering = Coalesce("team__merged_into__slug", "team__slug")
    pages = scope.of(TeamPage.objects.annotate(answering_team=answering).order_by("paged_at", "pk"))
    if scope.user_id is not None:
        pages = pages.filter(user=scope.user_id)
    columns = {
        "id": "pk", "incident_id": "incident_id", "team": "answering_team", "alarm_level": "alarm_level",
        "paged_at": "paged_at", "acknowledged_at": "acknowledged_at", "arrived_at": "arrived_at",
        "cancelled_at": "cancelled_at", "arrival_source": "arrival_source", "user": "user_id",
        "written_at": "arrival_recorded_at", **_incident_fields(),
    }  # fmt: skip
    credit = in_force(scope.as_of)
    for row in _rows_of(pages, columns):
        confidence = arrival_confidence(row["arrival_source"], row["arrived_at"], row.pop("written_at"))
        key = f"team_page:{row['id']}"
        page = _about_subject(row, key, key, confidence)
        page["credit"] = credit
        if scope.with_outcomes:
            page["outcome"] = _outcome(page, scope.as_of, credit)
        yield page


def _outcome(row: Row, as_of: datetime, credit: InForce) -> str | None:
    """What became of the dispatch by `as_of`, as dispatch credit judged then; none without an alarm level."""
    level = credit.settings.levels.get(str(row["alarm_level"]))
    paged_at = seen(row, "paged_at", as_of)
    if level is None or paged_at is None:
        return None
    dispatch = dispatch_credit.Dispatch(
        paged_at=paged_at,
        arrived_at=seen(row, "arrived_at", as_of),
        cancelled_at=seen(row, "cancelled_at", as_of),
        incident_is_over=not is_open(row, as_of),
    )
    return dispatch_credit.outcome_of(dispatch, level, as_of=as_of, settings=credit.settings).value


def _participants(scope: Scope) -> Iterator[Row]:
    """People who were invited to an incident or joined it by themselves."""
    columns = {
        "id": "pk", "incident_id": "incident_id", "user": "user_id", "created_at": "created_at",
        "joined_at": "joined_at", **_incident_fields(),
    }  # fmt: skip
    for row in _rows_of(scope.of(Participant.objects.order_by("created_at", "pk")), columns):
        yield _about_subject(row, f"incident:{row['incident_id']}", f"participant:{row['id']}", SELF)


def _survey_responses(scope: Scope) -> Iterator[Row]:
    """Of each person the latest answer so far. An incident counts from three answers on: fewer would tell who said
    what."""
    answers = SurveyResponse.objects.filter(submitted_at__lte=scope.as_of).order_by("submitted_at", "pk")
    columns = {
        "id": "pk", "person": "invitation_id", "incident_id": "invitation__incident_id", "score": "score",
        "submitted_at": "submitted_at", **_incident_fields("invitation__incident"),
    }  # fmt: skip
    rows = _rows_of(scope.of(answers, "invitation__incident__"), columns)
    latest = {row.pop("person"): row for row in rows}
    counts = Counter(row["incident_id"] for row in latest.values())
    for row in sorted(latest.values(), key=lambda row: (row["submitted_at"], row["id"])):
        if counts[row["incident_id"]] >= ENOUGH:
            ref = f"survey_response:{row.pop('id')}"
            yield _about_subject(row, f"incident:{row['incident_id']}", ref, SELF)


def _learning_reviews(scope: Scope) -> Iterator[Row]:
    """When each review was due, and when it was first published."""
    columns = {
        "id": "pk", "incident_id": "incident_id", "due_at": "due_at", "published_at": "published_at",
        **_incident_fields(),
    }  # fmt: skip
    for row in _rows_of(scope.of(LearningReview.objects.order_by("due_at", "pk")), columns):
        published = row["published_at"]
        is_pending = row["due_at"] > scope.as_of and (published is None or published > scope.as_of)  # type: ignore[operator]
        row["state"] = "pending" if is_pending else "due"
        yield _about_subject(row, f"incident:{row['incident_id']}", f"learning_review:{row['id']}", MACHINE)


#: The kind that KPIs read of an incident which is a second record of another one. No formula counts it.
DUPLICATE = "duplicate"


def _duplicates(scope: Scope) -> set[object]:
    links = IncidentLink.objects.duplicates().order_by()
    mine = links.filter(incident=scope.incident_id) if scope.incident_id else links
    return set(mine.values_list("incident", flat=True))


def _without_doubles(rows: Iterable[Row], doubles: Collection[object]) -> Iterable[Row]:
    """The rows, those of duplicates marked: one trouble counts once."""
    if not doubles:
        return rows
    return (_marked(row) if row.get("incident_id") in doubles else row for row in rows)


def _marked(row: Row) -> Row:
    return {**row, **{name: DUPLICATE for name in ("kind", "incident_kind") if name in row}}


def _no_rows(scope: Scope) -> Iterator[Row]:
    """There is no table yet: a KPI that reads it says that it never received a row."""
    return iter(())


def _kpi_alerts(scope: Scope) -> Iterable[Row]:
    """Alerts are of no incident."""
    return () if scope.incident_id else episodes.load(scope.as_of)


SOURCES: dict[str, Source] = {
    "incidents": Source(
        SourceShape(
            name="incidents",
            fields={
                "id": FieldType.ID,
                "severity": FieldType.TEXT,
                "kind": FieldType.TEXT,
                "status": FieldType.TEXT,
                "detected_at": FieldType.TIME,
                "resolved_at": FieldType.TIME,
                "issue_time": FieldType.TIME,
                "resolve_time": FieldType.TIME,
                "customer_count": FieldType.NUMBER,
            },
            time_fields=("detected_at", "resolved_at", "issue_time", "resolve_time"),
            subject="incident",
        ),
        _incidents,
    ),
    "phase_entries": Source(
        SourceShape(
            name="phase_entries",
            fields={
                "id": FieldType.ID,
                **_OF_INCIDENT,
                "phase_number": FieldType.NUMBER,
                "created_at": FieldType.TIME,
            },
            time_fields=("created_at",),
            subject="incident",
        ),
        _phase_entries,
    ),
    "update_promises": Source(
        SourceShape(
            name="update_promises",
            fields={
                "id": FieldType.ID,
                **_OF_INCIDENT,
                "due_at": FieldType.TIME,
                "delivered_at": FieldType.TIME,
                "state": FieldType.TEXT,
            },
            time_fields=("due_at", "delivered_at"),
            subject="incident",
        ),
        _update_promises,
    ),
    "team_pages": Source(
        SourceShape(
            name="team_pages",
            fields={
                "id": FieldType.ID,
                **_OF_INCIDENT,
                "team": FieldType.TEXT,
                "alarm_level": FieldType.TEXT,
                "paged_at": FieldType.TIME,
                "acknowledged_at": FieldType.TIME,
                "arrived_at": FieldType.TIME,
                "cancelled_at": FieldType.TIME,
                "arrival_source": FieldType.TEXT,
                "outcome": FieldType.TEXT,
                "user": FieldType.ID,
            },
            time_fields=("paged_at", "acknowledged_at", "arrived_at", "cancelled_at"),
            subject="team_page",
        ),
        _team_pages,
    ),
    "participants": Source(
        SourceShape(
            name="participants",
            fields={
                "id": FieldType.ID,
                **_OF_INCIDENT,
                "user": FieldType.ID,
                "created_at": FieldType.TIME,
                "joined_at": FieldType.TIME,
            },
            time_fields=("created_at", "joined_at"),
            subject="incident",
        ),
        _participants,
    ),
    "learning_reviews": Source(
        SourceShape(
            name="learning_reviews",
            fields={
                "id": FieldType.ID,
                **_OF_INCIDENT,
                "due_at": FieldType.TIME,
                "published_at": FieldType.TIME,
                "state": FieldType.TEXT,
            },
            time_fields=("due_at", "published_at"),
            subject="incident",
        ),
        _learning_reviews,
    ),
    "survey_responses": Source(
        SourceShape(
            name="survey_responses",
            fields={**_OF_INCIDENT, "score": FieldType.NUMBER, "submitted_at": FieldType.TIME},
            time_fields=("submitted_at",),
            subject="incident",
        ),
        _survey_responses,
    ),
    "kpi_alerts": Source(
        SourceShape(
            name="kpi_alerts",
            fields={
                "id": FieldType.ID,
                "rule": FieldType.TEXT,
                "severity": FieldType.TEXT,
                "fired_at": FieldType.TIME,
                "acknowledged_at": FieldType.TIME,
                "resolved_at": FieldType.TIME,
            },
            time_fields=("fired_at", "acknowledged_at", "resolved_at"),
        ),
        _kpi_alerts,
    ),
}


class Shapes(Mapping[str, SourceShape]):
    """Every name a formula may use: the tables declared above, and what administrators declare of facts."""

    def __getitem__(self, name: str) -> SourceShape:
        shape = SOURCES[name].shape if name in SOURCES else facts.shape_of(name)
        if shape is None:
            raise KeyError(name)
        return shape

    def __iter__(self) -> Iterator[str]:
        return iter([*SOURCES, *facts.names()])

    def __len__(self) -> int:
        return len(SOURCES) + len(facts.names())


SHAPES: Mapping[str, SourceShape] = Shapes()


def expected_every(name: str) -> timedelta | None:
    """How often the source should have a new row; None where silence is no fault (nobody expects an incident)."""
    stated: str | None = settings.MAJOROPS_EXPECTED_EVERY.get(name)
    if stated:
        return period(stated)
    return SOURCES[name].expected_every if name in SOURCES else facts.expected_every(name)


def rows_of(name: str, scope: Scope) -> Iterable[Row]:
    """The rows of one source."""
    if name not in SOURCES:
        return facts.load(name, scope)
    return _without_doubles(SOURCES[name].load(scope), _duplicates(scope))


def load(names: Iterable[str], scope: Scope) -> dict[str, list[Row]]:
    """The rows of the named sources."""
    return {name: list(rows_of(name, scope)) for name in names}
