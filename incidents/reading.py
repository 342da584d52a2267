"""The reads that programs poll, the list and one incident in full: rows instead of objects.

What they show is said in serializers.py, from which the plans here are made; a test holds both ways to the same bytes.
The queries are compiled once for all viewers of the same rights: each is built for somebody of whom nothing else is
known, so it cannot depend on anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from django.db.models import F, QuerySet, Value
from django.db.models.functions import NullIf

from accounts.models import User
from accounts.principals import Principal, Rights
from incidents.filters import IncidentFilter
from incidents.models import Incident, Milestone, StatusUpdate, TimelineEvent
from incidents.serializers import (
    COMPUTED,
    EntryShown,
    IncidentDetail,
    IncidentShown,
    MilestoneShown,
    UpdateShown,
    changes_shown,
)
from incidents.viewing import audience_for, incidents_for, with_each_entry, with_marks
from majorops.lib.fields import Plan
from majorops.lib.paging import Window
from majorops.lib.prepared import ROW, VIEWER, ask
from majorops.lib.visibility import readable, visible

Row = dict[str, Any]

PEOPLE = ("mim", "leader", "service_manager", "customer_ops", "opened_by")
#: Columns that the contract shows in another form than the table has.
SHOWN_AS = {person: User.name_of(person) for person in PEOPLE} | {"sre": NullIf("sre", Value(""))}
MARKS = ("entries_read", "milestones_read")
INCIDENT = (*Plan(IncidentShown).sources, "was_called")
ENTRY = (*Plan(EntryShown).sources, "changes")
UPDATE = tuple(Plan(UpdateShown).sources)
MILESTONE = (*Plan(MilestoneShown).sources, "entry")


# --- Rows ---


def incident_row(viewer: Principal, incident_id: str) -> Row | None:
    """The incident as far as it exists for this viewer, with what its tag is made of."""
    return next(iter(_ask(_one, (*INCIDENT, *MARKS), viewer, incident_id)), None)


def incident_rows(viewer: Principal, narrowed: dict[str, str], window: Window) -> list[Row]:
    """The rows of a window onto the viewer's incidents. Raises BadQuery for a filter that cannot be used."""
    return _ask(_listed, INCIDENT, viewer, None, tuple(narrowed.items()), window)


def _ask(
    build: Callable[..., QuerySet[Any]], names: Iterable[str], viewer: Principal, row: str | None, *key: Hashable
) -> list[Row]:
    found = ask(build, Rights.of(viewer), *key, blanks={VIEWER: viewer.pk, ROW: row})
    return [dict(zip(names, values, strict=True)) for values in found]


def _one(rights: Rights) -> QuerySet[Any]:
    viewer = rights.somebody(VIEWER)
    return _values(with_marks(incidents_for(viewer), viewer).filter(pk=ROW), (*INCIDENT, *MARKS))


def _listed(rights: Rights, narrowed: tuple[tuple[str, str], ...], window: Window) -> QuerySet[Any]:
    incidents = incidents_for(rights.somebody(VIEWER))
    filters = IncidentFilter(dict(narrowed), queryset=incidents)
    return _values(window.of(filters.qs if filters.is_valid() else incidents.none()), INCIDENT)


def _entries(rights: Rights) -> QuerySet[Any]:
    entries = visible(TimelineEvent.objects.filter(incident=ROW), rights.somebody(VIEWER))
    return _values(entries.order_by("occurred_at", "id"), ENTRY)


def _updates(rights: Rights) -> QuerySet[Any]:
    return _values(visible(StatusUpdate.objects.filter(incident=ROW), rights.somebody(VIEWER)), UPDATE)


def _milestones(rights: Rights) -> QuerySet[Any]:
    viewer = rights.somebody(VIEWER)
    return _values(with_each_entry(visible(Milestone.objects.filter(incident=ROW), viewer), viewer), MILESTONE)


def _values(rows: QuerySet[Any], names: Iterable[str]) -> QuerySet[Any]:
    of_incident = rows.model is Incident
    return rows.values_list(*[SHOWN_AS.get(name, F(name)) if of_incident else F(name) for name in names])


# --- As they are shown ---


def listed(row: Row, viewer: Principal) -> dict[str, Any]:
    """What IncidentShown makes of it."""
    return _plan(IncidentShown, _seen(row, viewer)).show(row)


def in_full(row: Row, viewer: Principal) -> dict[str, Any]:
    """What IncidentDetail makes of it. Three queries."""
    audience = audience_for(viewer, _as_incident(row))
    entries = _ask(_entries, ENTRY, viewer, row["id"])
    for entry in entries:
        entry["changes"] = changes_shown(audience, entry["changes"])
    parts = {
        "timeline": _all(EntryShown, entries),
        "updates": _all(UpdateShown, _ask(_updates, UPDATE, viewer, row["id"])),
        "milestones": _all(MilestoneShown, _joined(_ask(_milestones, MILESTONE, viewer, row["id"]))),
    }
    return _plan(IncidentDetail, _seen(row, viewer)).show(row | parts)


def _joined(rows: list[Row]) -> list[Row]:
    """One row a milestone, with all its `entries`."""
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row["id"], row | {"entries": []})
        first["entries"] += filter(None, [row["entry"]])
    return list(found.values())


def _all(serializer: Any, rows: list[Row]) -> list[dict[str, Any]]:
    show = _plan(serializer).show
    return [show(row) for row in rows]


_plan = cache(Plan)


def _seen(row: Row, viewer: Principal) -> frozenset[str]:
    return COMPUTED | readable(Incident, viewer, _as_incident(row))


def _as_incident(row: Row) -> Incident:
    """As much of it as tells who the viewer is to it."""
    return cast(Incident, SimpleNamespace(was_called=row["was_called"]))
