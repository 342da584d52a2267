"""Who sees which rows and columns of incidents and their history.

Somebody unknown sees what was published on the anonymous status page, and nothing else. For most, restricted
incidents do not exist, and whatever hangs on one does not either.
"""

from __future__ import annotations

from functools import partial

from django.db.models import Model, Q, QuerySet

from accounts.models import User
from accounts.roles import Can
from accounts.visibility import may
from incidents.audience import audience
from incidents.lifecycle import Visibility
from incidents.models import (
    Delivery,
    DeliveryAttempt,
    Incident,
    Milestone,
    Participant,
    PhaseEntry,
    RoleAssignment,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from incidents.viewing import PUBLISHED, audience_for, called, named, readable_fields, reads_restricted
from majorops.lib.visibility import Fields, Rows, Sight, columns, visible

#: The columns of each ledger that its readers read. The rest is for administrators: ids, origins, bookkeeping.
ENTRY = frozenset(
    {
        "id", "incident", "type", "title", "description", "actor", "occurred_at", "recorded_at", "visibility",
        "phase_number", "corrects", "undoes", "verb", "changes", "source",
    }
)  # fmt: skip
UPDATE = frozenset({"id", "incident", "content", "visibility", "author_name", "created_at", "source"})
MILESTONE = frozenset(
    {
        "id", "incident", "sequence", "title", "body", "status_at_cut", "next_update_eta", "cut_by_name", "created_at",
        "is_resolution",
    }
)  # fmt: skip
SENDING = frozenset({"id", "page", "call", "queued_at", "state"})
PAGE = columns(TeamPage) - {"paged_by", "recorded_at", "replaces", "voided_at", "voided_by_event"}


def _incidents(rows: QuerySet[Incident], viewer: object) -> QuerySet[Incident]:
    if not may(viewer, Can.READ_INCIDENTS):
        return rows.filter(publish_status=True, restricted=False)
    return rows if reads_restricted(viewer) else rows.filter(Q(restricted=False) | named(viewer))


def _incident_fields(viewer: object, incident: Incident | None) -> frozenset[str]:
    if not may(viewer, Can.READ_INCIDENTS):
        return PUBLISHED
    if incident is None:
        return readable_fields(audience(partial(may, viewer), was_called=False))
    return readable_fields(audience_for(viewer, incident))  # type: ignore[arg-type]


def _of_visible(rows: Rows, viewer: object) -> Rows:
    """Rows of incidents that exist for the viewer."""
    if reads_restricted(viewer):
        return rows
    return rows.filter(incident__in=visible(Incident.objects.order_by(), viewer))


def _entries(rows: QuerySet[TimelineEvent], viewer: object) -> QuerySet[TimelineEvent]:
    if not may(viewer, Can.READ_INCIDENTS):
        return rows.none()
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    # An entry without an audience is for both; an unknown audience is internal.
    told = Q(visibility=Visibility.PUBLIC) | Q(visibility=None)
    return _of_visible(rows, viewer).filter(told | called(viewer, "incident"))


def _updates(rows: QuerySet[StatusUpdate], viewer: object) -> QuerySet[StatusUpdate]:
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return _of_visible(rows, viewer).filter(Q(visibility=Visibility.PUBLIC) | called(viewer, "incident"))


def _internal(rows: Rows, viewer: object) -> Rows:
    """For those who read internal entries, and those called to the incident."""
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return rows.filter(called(viewer, "incident"))


def _pages(rows: QuerySet[TeamPage], viewer: object) -> QuerySet[TeamPage]:
    if may(viewer, Can.READ_TEAMS) and may(viewer, Can.READ_INCIDENTS):
        return _of_visible(rows, viewer)
    return rows.filter(called(viewer, "incident"))


def _deliveries(rows: QuerySet[Delivery], viewer: object) -> QuerySet[Delivery]:
    return rows.filter(page__in=visible(TeamPage.with_voided.order_by(), viewer))


def _tries(rows: QuerySet[DeliveryAttempt], viewer: object) -> QuerySet[DeliveryAttempt]:
    return rows if may(viewer, Can.ADMINISTER) else rows.none()


def _roles(rows: QuerySet[RoleAssignment], viewer: object) -> QuerySet[RoleAssignment]:
    return _of_visible(rows, viewer) if may(viewer, Can.READ_INCIDENTS) else rows.none()


def _participants(rows: QuerySet[Participant], viewer: object) -> QuerySet[Participant]:
    own = Q(user=viewer) if isinstance(viewer, User) else Q(pk__in=())
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return rows.filter(own | called(viewer, "incident"))


def _columns(model: type[Model], known: frozenset[str], published: frozenset[str] = frozenset()) -> Fields:
    """Fields: all for administrators, `known` for whoever may read incidents, `published` for the rest."""

    def fields(viewer: object, row: object) -> frozenset[str]:
        if may(viewer, Can.ADMINISTER):
            return columns(model)
        return known if may(viewer, Can.READ_INCIDENTS) else published

    return fields


SIGHTS: dict[type[Model], Sight] = {
    Incident: Sight(
        _incidents,
        _incident_fields,
        filters=frozenset(
            {"status", "severity", "kind", "phase", "detected_at", "next_update_eta", "affected_systems"}
        ),
        orders=frozenset({"detected_at", "id"}),
        searches=frozenset({"title"}),
    ),
    TimelineEvent: Sight(
        _entries,
        _columns(TimelineEvent, ENTRY),
        filters=frozenset({"type", "actor", "occurred_at", "visibility", "corrects"}),
        orders=frozenset({"occurred_at", "recorded_at", "id"}),
        searches=frozenset({"title", "description", "actor"}),
    ),
    StatusUpdate: Sight(
        _updates,
        _columns(StatusUpdate, UPDATE, frozenset({"content", "created_at"})),
        orders=frozenset({"created_at", "id"}),
    ),
    Milestone: Sight(
        lambda rows, viewer: _of_visible(rows, viewer),
        _columns(Milestone, MILESTONE, frozenset({"sequence", "title", "body", "created_at", "next_update_eta"})),
        orders=frozenset({"sequence"}),
    ),
    PhaseEntry: Sight(_internal, _columns(PhaseEntry, columns(PhaseEntry)), orders=frozenset({"entered_at", "id"})),
    RoleAssignment: Sight(
        _roles, _columns(RoleAssignment, frozenset({"incident", "role", "name", "assumed_at", "renounced_at"}))
    ),
    TeamPage: Sight(_pages, _columns(TeamPage, PAGE), orders=frozenset({"paged_at", "id"})),
    Delivery: Sight(_deliveries, _columns(Delivery, SENDING), orders=frozenset({"id"})),
    DeliveryAttempt: Sight(_tries, _columns(DeliveryAttempt, frozenset())),
    Participant: Sight(_participants, _columns(Participant, columns(Participant))),
}
