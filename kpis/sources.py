"""Where the rows of a formula come from. Every name a formula may use is declared here and nowhere else.

A row is a dictionary of the declared fields, plus what the evaluator needs to give proof:
`ref` (which row this is), `subject_key`, `incident_id`, `subject_open`, `subject_closed_at`, `confidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from incidents.lifecycle import EventType, Status
from incidents.models import ArrivalSource, Incident, Milestone, Participant, PhaseEntry, TeamPage, TimelineEvent
from incidents.promises import promises
from kpis import dispatch_credit
from kpis.evaluate.rows import is_open, seen
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


def _incidents(scope: Scope) -> Iterator[Row]:
    rows = Incident.objects.order_by("pk").values(
        "id", "severity", "kind", "status", "detected_at", "resolved_at", "issue_time", "resolve_time",
        "customer_count", "external_id",
    )  # fmt: skip
    for row in scope.of(rows, incident=""):
        yield {
            **{name: value for name, value in row.items() if name != "external_id"},
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


def _about_subject(row: dict[str, object], subject_key: object, ref: str, confidence: float) -> Row:
    is_open = row.pop("status") != Status.RESOLVED
    closed_at = row.pop("closed_at")
    return {
        **row,
        "ref": ref,
        "subject_key": subject_key,
        "subject_open": is_open,
        "subject_closed_at": closed_at,
        "confidence": confidence,
    }


def _phase_entries(scope: Scope) -> Iterator[Row]:
    """Entries into phases, at their corrected time where the log entry was corrected."""
    entries = scope.of(PhaseEntry.objects.order_by("entered_at", "pk"))
    corrected = _corrected_times(scope)
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


def _corrected_times(scope: Scope) -> dict[object, datetime]:
    """The last corrected time of each corrected phase entry's log entry."""
    corrections = TimelineEvent.objects.filter(corrects__type=EventType.PHASE, recorded_at__lte=scope.as_of)
    return dict(scope.of(corrections).order_by("recorded_at", "pk").values_list("corrects_id", "occurred_at"))


@dataclass(frozen=True, slots=True)
class _Milestone:
    """A milestone as the promise rule reads it, and what a row tells of its incident."""

    id: str
    created_at: datetime
    next_update_eta: datetime | None
    is_resolution: bool
    of_incident: dict[str, object]


def _update_promises(scope: Scope) -> Iterator[Row]:
    milestones = scope.of(Milestone.objects.filter(created_at__lte=scope.as_of).order_by("incident_id", "sequence"))
    own = {name: name for name in ("id", "created_at", "next_update_eta", "is_resolution")}
    rows = _rows_of(milestones, {**own, "incident_id": "incident_id", **_incident_fields()})
    for incident_id, cut in groupby(rows, key=itemgetter("incident_id")):
        made = [_Milestone(**{name: row.pop(name) for name in own}, of_incident=row) for row in cut]  # type: ignore[arg-type]
        for promise in promises(made, scope.as_of):
            row = {
                **promise.made_by.of_incident,
                "id": promise.made_by.id,
                "due_at": promise.due_at,
                "delivered_at": promise.delivered_at,
                "state": "pending" if promise.is_pending else "due",
            }
            yield _about_subject(row, f"incident:{incident_id}", f"milestone:{promise.made_by.id}", MACHINE)


def arrival_confidence(source: object, arrived: object, written: object) -> float:
    """How far the time of an arrival can be trusted; the times in any form that tells equal from different."""
    if source != ArrivalSource.SELF:
        return RECORDED
    return SELF if written is None or written == arrived else DEVICE


def _team_pages(scope: Scope) -> Iterator[Row]:
    answering = Coalesce("team__merged_into__slug", "team__slug")
    pages = scope.of(TeamPage.objects.annotate(answering_team=answering).order_by("paged_at", "pk"))
    columns = {
        "id": "pk", "incident_id": "incident_id", "team": "answering_team", "alarm_level": "alarm_level",
        "paged_at": "paged_at", "acknowledged_at": "acknowledged_at", "arrived_at": "arrived_at",
        "cancelled_at": "cancelled_at", "arrival_source": "arrival_source", "user": "user_id",
        "written_at": "arrival_recorded_at", **_incident_fields(),
    }  # fmt: skip
    for row in _rows_of(pages, columns):
        confidence = arrival_confidence(row["arrival_source"], row["arrived_at"], row.pop("written_at"))
        key = f"team_page:{row['id']}"
        yield _with_outcome(_about_subject(row, key, key, confidence), scope.as_of)


def _with_outcome(row: Row, as_of: datetime) -> Row:
    """What became of the dispatch by `as_of`, by the rule that dispatch credit has; none without an alarm level."""
    level = dispatch_credit.DEFAULT.levels.get(str(row["alarm_level"]))
    paged_at = seen(row, "paged_at", as_of)
    if level is None or paged_at is None:
        return {**row, "outcome": None}
    dispatch = dispatch_credit.Dispatch(
        paged_at=paged_at,
        arrived_at=seen(row, "arrived_at", as_of),
        cancelled_at=seen(row, "cancelled_at", as_of),
        incident_is_over=not is_open(row, as_of),
    )
    return {**row, "outcome": dispatch_credit.outcome_of(dispatch, level, as_of=as_of).value}


def _participants(scope: Scope) -> Iterator[Row]:
    """People who were invited to an incident or joined it by themselves."""
    columns = {
        "id": "pk", "incident_id": "incident_id", "user": "user_id", "created_at": "created_at",
        "joined_at": "joined_at", **_incident_fields(),
    }  # fmt: skip
    for row in _rows_of(scope.of(Participant.objects.order_by("created_at", "pk")), columns):
        yield _about_subject(row, f"incident:{row['incident_id']}", f"participant:{row['id']}", SELF)


def _no_rows(scope: Scope) -> Iterator[Row]:
    """There is no table yet: a KPI that reads it says that it never received a row."""
    return iter(())


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
    "decisions": Source(
        SourceShape(
            name="decisions",
            fields={
                "id": FieldType.ID,
                "scope": FieldType.TEXT,
                "action": FieldType.TEXT,
                "shop_domain": FieldType.TEXT,
                "landing_page": FieldType.TEXT,
                "conversation_id": FieldType.ID,
                "decided_at": FieldType.TIME,
            },
            time_fields=("decided_at",),
        ),
        _no_rows,
    ),
    "survey_responses": Source(
        SourceShape(
            name="survey_responses",
            fields={**_OF_INCIDENT, "score": FieldType.NUMBER, "submitted_at": FieldType.TIME},
            time_fields=("submitted_at",),
            subject="incident",
        ),
        _no_rows,
    ),
}

SHAPES: dict[str, SourceShape] = {name: source.shape for name, source in SOURCES.items()}


def expected_every(name: str) -> timedelta | None:
    """How often the source should have a new row; None where silence is no fault (nobody expects an incident)."""
    stated: str | None = settings.MAJOROPS_EXPECTED_EVERY.get(name)
    return period(stated) if stated else SOURCES[name].expected_every if name in SOURCES else None


def load(names: Iterable[str], scope: Scope) -> dict[str, list[Row]]:
    """The rows of the named sources."""
    return {name: list(SOURCES[name].load(scope)) for name in names}
