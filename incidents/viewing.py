"""What a viewer gets of one incident: as which audience, which fields, and what they may do with it.

Which rows exist for them is in visibility.py. A field that no group below names is shown to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache, partial, reduce
from operator import or_
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from accounts.models import User
from accounts.permissions import RoleRequired, required
from accounts.roles import Can
from accounts.visibility import Viewer, may
from incidents.audience import Audience, audience
from incidents.lifecycle import Visibility
from incidents.models import (
    ArrivalSource,
    Incident,
    IncidentQuerySet,
    Milestone,
    MilestoneSource,
    Participant,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

_NEVER = Q(Value(False, output_field=BooleanField()))

EVERYONE = frozenset(
    {
        "id",
        "kind",
        "title",
        "severity",
        "status",
        "phase",
        "phase_entered_at",
        "detected_at",
        "resolved_at",
        "affected_systems",
        "bridge_url",
        "sre",
        "mim",
        "leader",
        "service_manager",
        "customer_ops",
        "customer_impact_summary",
        "audience_notes",
        "next_update_eta",
        "last_communicated_at",
        "opened_by",
    }
)
EXECUTIVE = frozenset({"business_impact", "risk_level", "exec_summary", "decision_asked"})
#: How many customers feel it: for executives, and for those who work on it.
IMPACT = frozenset({"customer_count", "external_impact"})
#: `version` counts internal edits too, so it is as internal as they are.
INTERNAL = frozenset(
    {
        "description",
        "alert_source",
        "alert_id",
        "dedup_key",
        "issue_time",
        "resolve_time",
        "external_source",
        "external_id",
        "metadata",
        "version",
        "created_at",
        "restricted",
        "publish_status",
        "public_title",
        "public_id",
    }
)
#: What the anonymous status page shows of an incident that was published there.
PUBLISHED = frozenset(
    {
        "public_id",
        "public_title",
        "severity",
        "status",
        "phase",
        "detected_at",
        "resolved_at",
        "customer_impact_summary",
        "next_update_eta",
    }
)


@cache
def readable_fields(viewer: Audience) -> frozenset[str]:
    """The columns of Incident this audience reads. The others are absent, not empty."""
    fields = EVERYONE
    if viewer.reads_executive:
        fields |= EXECUTIVE | IMPACT
    if viewer.reads_internal:
        fields |= INTERNAL | IMPACT
    return fields


def readable_changes(viewer: Audience, changes: Mapping[str, object] | None) -> dict[str, object]:
    """The part of a log entry's old and new values that this audience reads: `{field: [old, new]}`."""
    readable = readable_fields(viewer)
    return {name: pair for name, pair in (changes or {}).items() if name in readable}


def incidents_for(viewer: Viewer) -> IncidentQuerySet:
    """The incidents this viewer may see, with `was_called` and `updates_posted` as it counts for them."""
    posted: Coalesce | Case = _updates(internal=True)
    if not may(viewer, Can.READ_INTERNAL):
        posted = Case(When(was_called=True, then=posted), default=_updates(internal=False))
    seen = visible(Incident.objects.with_command(), viewer).annotate(was_called=called(viewer))
    return cast(IncidentQuerySet, seen.annotate(updates_posted=posted))


def with_marks(incidents: IncidentQuerySet, viewer: Viewer) -> IncidentQuerySet:
    """Rows of `incidents_for` with `entries_read` and `milestones_read`: how many rows of these ledgers the viewer
    reads. Ledgers only grow, so what is shown of them changes exactly when a count does."""
    entries = visible(TimelineEvent.objects.filter(incident=OuterRef("pk")), viewer)
    milestones = visible(Milestone.objects.filter(incident=OuterRef("pk")), viewer)
    return incidents.annotate(entries_read=_count(entries), milestones_read=_count(milestones))


def with_entries(milestones: QuerySet[Milestone], viewer: Viewer) -> QuerySet[Milestone]:
    """Milestones with `entries_read`: which entries they were made from, as far as the viewer may read those."""
    sources = visible(MilestoneSource.objects.order_by("position"), viewer)
    return milestones.prefetch_related(Prefetch("sources", queryset=sources, to_attr="entries_read"))


def joined_entries(milestones: QuerySet[Milestone], viewer: Viewer) -> list[Milestone]:
    """Milestones by number with `entry_ids`, the same ids as of `with_entries`, in one query."""
    found: dict[str, Milestone] = {}
    for row in with_each_entry(milestones, viewer):
        first = found.setdefault(row.pk, row)
        first.entry_ids = [*getattr(first, "entry_ids", ()), *filter(None, [row.entry])]  # type: ignore[attr-defined]
    return list(found.values())


def with_each_entry(milestones: QuerySet[Milestone], viewer: Viewer) -> QuerySet[Milestone]:
    """Milestones by number, one row for each `entry` they were made from; None for one that the viewer may not read."""
    # By its key: `__in` a subquery makes PostgreSQL read every log there is.
    read = visible(TimelineEvent.objects.order_by().filter(pk=OuterRef("sources__entry")), viewer)
    rows = milestones.annotate(entry=Case(When(Exists(read), then=F("sources__entry_id"))))
    return rows.order_by("sequence", "sources__position")


def _count(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values("incident").annotate(n=Count("pk")).values("n")), 0)


def audience_for(viewer: Viewer, incident: Incident) -> Audience:
    """What this viewer reads and may do on this incident. One query, none if it came from `incidents_for`."""
    was_called = getattr(incident, "was_called", None)
    if was_called is None:
        was_called = Incident.objects.filter(called(viewer), pk=incident.pk).exists()
    return audience(partial(may, viewer), was_called=was_called)


def called(viewer: object, incident: str = "pk") -> Q:
    """True for rows whose incident (the column) a person was called to: team or person paged, or taking part."""
    if not may(viewer, Can.READ_INCIDENTS) or not isinstance(viewer, User):
        return _NEVER
    # Each by an index of its own: with one OR across tables PostgreSQL reads every page there is.
    ways: list[QuerySet[Any]] = [
        TeamPage.objects.filter(team__memberships__user=viewer, incident=OuterRef(incident)),
        TeamPage.objects.filter(user=viewer, incident=OuterRef(incident)),
        Participant.objects.filter(user=viewer, incident=OuterRef(incident)),
    ]
    return reduce(or_, (Q(Exists(rows)) for rows in ways))


def named(viewer: object) -> Q:
    """True for incidents a person is named in: called to, or holding a role of the command team."""
    if not isinstance(viewer, User):
        return _NEVER
    return called(viewer) | Q(mim=viewer) | Q(leader=viewer) | Q(service_manager=viewer) | Q(customer_ops=viewer)


def people_named(incident_id: str) -> set[str]:
    """The ids of everybody whom `named` finds on this incident. One query."""
    roles = ("mim", "leader", "service_manager", "customer_ops")
    incident = Incident.objects.filter(pk=incident_id).order_by()
    pages = TeamPage.objects.filter(incident=incident_id).order_by()
    found = [incident.values_list(role) for role in roles]
    found += [pages.values_list("user"), pages.values_list("team__memberships__user")]
    taking_part = Participant.objects.filter(incident=incident_id).order_by().values_list("user")
    return {person for (person,) in taking_part.union(*found) if person is not None}


def reads_restricted(viewer: object) -> bool:
    """Whether security and HR incidents exist for this viewer without being named in them. Never for a program."""
    return isinstance(viewer, User) and viewer.can(Can.COMMAND)


def _updates(*, internal: bool) -> Coalesce:
    rows: QuerySet[StatusUpdate] = StatusUpdate.objects.for_audience(internal=internal)
    return _count(rows.filter(incident=OuterRef("pk")))


class NotCalled(DomainError):
    """Only people called to this incident can do this. Ask the incident manager to page your team or to invite you."""

    code = "not_called"
    status = 403


def check_may_post(viewer: Viewer, incident: Incident, visibility: str | None = Visibility.INTERNAL) -> None:
    """Raises NotCalled for those who may not write here, RoleRequired for what only publishers may say."""
    audience = audience_for(viewer, incident)
    if not audience.may_post:
        raise NotCalled
    if visibility != Visibility.INTERNAL:
        check_may_publish(viewer)


def check_may_publish(viewer: Viewer) -> None:
    """Raises RoleRequired or ScopeRequired unless the viewer may write what stakeholders read."""
    if not may(viewer, Can.PUBLISH):
        raise required(viewer or AnonymousUser(), Can.PUBLISH)


def check_may_edit(viewer: Viewer, names: Collection[str]) -> None:
    """Raises RoleRequired where these fields say who gets to know of the incident, and the viewer may not."""
    if "restricted" in names and not reads_restricted(viewer):
        raise RoleRequired.to(Can.COMMAND)
    if {"publish_status", "public_title"} & set(names):
        check_may_publish(viewer)


def may_correct(viewer: Viewer, audience: Audience, entry: TimelineEvent) -> bool:
    """Those who command correct every entry, others their own; what stakeholders read, only those who publish."""
    is_own = isinstance(viewer, User) and entry.actor_user_id == viewer.pk
    may_write = audience.may_command or (audience.may_post and is_own)
    return may_write and (audience.may_publish or entry.visibility == Visibility.INTERNAL)


def check_may_correct(viewer: Viewer, incident: Incident, entry: TimelineEvent) -> None:
    """Raises NotCalled or RoleRequired."""
    check_may_post(viewer, incident, entry.visibility)
    if not may_correct(viewer, audience_for(viewer, incident), entry):
        raise RoleRequired.to(Can.COMMAND)


def check_may_answer(viewer: Viewer, page: TeamPage) -> None:
    """Raises NotCalled unless the viewer commands incidents or is on the paged team: others cannot speak for it."""
    if not (may(viewer, Can.COMMAND) or _is_on(viewer, page)):
        raise NotCalled("Only a member of the paged team can answer this page.")


def arrival_source(viewer: Viewer, page: TeamPage, wanted: str | None = None) -> ArrivalSource:
    """Who says that this team came: its own engineer, or the incident manager. Raises NotCalled, RoleRequired."""
    commands = may(viewer, Can.COMMAND)
    source = ArrivalSource(wanted) if wanted else ArrivalSource.OBSERVED if commands else ArrivalSource.SELF
    if source == ArrivalSource.OBSERVED and not commands:
        raise RoleRequired.to(Can.COMMAND)
    if source == ArrivalSource.SELF and not _is_on(viewer, page):
        raise NotCalled("Only a member of the paged team can report their own arrival.")
    return source


def _is_on(viewer: Viewer, page: TeamPage) -> bool:
    if not isinstance(viewer, User):
        return False
    return page.user_id == viewer.pk or page.team.memberships.filter(user=viewer).exists()
