"""THE ONLY WRITER. One function per thing people do to an incident; pages, API, CLI and intake call these.

Each works in this order: load the row under a lock, check the rule, write the row (compare-and-swap on
its version), write the history in the same transaction, and tell the listeners after commit. A refused
action writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Field, Max

from accounts.models import User
from incidents.clock import check_happened, check_order, check_promise
from incidents.errors import (
    AlreadyOpen,
    IncidentChanged,
    PageIsOpen,
    RoleHeld,
    TeamNotDispatchable,
    TextMissing,
    WrongIncident,
)
from incidents.lifecycle import (
    CommandRole,
    EventType,
    Kind,
    Move,
    Phase,
    Severity,
    Status,
    Visibility,
    box_for,
    check_move,
    check_open,
    check_reopen,
    check_status,
)
from incidents.models import (
    ArrivalSource,
    Incident,
    Milestone,
    Participant,
    PhaseEntry,
    RoleAssignment,
    Source,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from incidents.past import PastIncident
from incidents.signals import recorded
from majorops.lib.errors import Invalid
from majorops.lib.links import check_https
from majorops.lib.text import clean_text
from majorops.lib.times import iso
from teams.models import Team

#: What edit_incident may change. Status, phase and their times have actions of their own.
EDITABLE = (
    "title",
    "description",
    "severity",
    "affected_systems",
    "bridge_url",
    "alert_id",
    "customer_count",
    "issue_time",
    "resolve_time",
    "external_impact",
    "business_impact",
    "customer_impact_summary",
    "risk_level",
    "exec_summary",
    "audience_notes",
)
#: Who gets to know of it. Doors ask incidents.viewing.check_may_edit first.
REACH = ("restricted", "publish_status", "public_title")
MAX_SYSTEMS = 200


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who did it, when it happened, when it is being written down, and through which door."""

    by: User | None
    at: datetime
    now: datetime
    source: str
    #: The name shown where no account stands behind it.
    name: str = ""

    @property
    def actor(self) -> str:
        return self.by.name if self.by else self.name or "MajorOps"


P = ParamSpec("P")
R = TypeVar("R")


def _announce(incident_id: str) -> None:
    recorded.send_robust(sender=Incident, incident_id=incident_id)


def _action(function: Callable[Concatenate[Incident, P], R]) -> Callable[Concatenate[Incident, P], R]:
    """One transaction; the listeners hear of it only once it is committed."""

    @wraps(function)
    def run(incident: Incident, *args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            result = function(incident, *args, **kwargs)
            transaction.on_commit(partial(_announce, incident.pk), robust=True)
        return result

    return run


def _locked(incident: Incident, expected_version: int | None = None) -> Incident:
    """The row as it is now. Raises IncidentChanged if the caller looked at an older version."""
    current = Incident.objects.select_for_update(no_key=True).get(pk=incident.pk)
    if expected_version is not None and current.version != expected_version:
        raise IncidentChanged(version=current.version)
    return current


def _write(incident: Incident, **changes: object) -> None:
    """Compare-and-swap: writes only if nobody has written since `incident` was read."""
    swapped = Incident.objects.filter(pk=incident.pk, version=incident.version)
    if not swapped.update(version=F("version") + 1, **changes):
        raise IncidentChanged
    incident.version += 1
    for name, value in changes.items():
        setattr(incident, name, value)


def _log(incident: Incident, stamp: Stamp, *, type: str, title: str, **fields: object) -> TimelineEvent:
    """An entry in the log, internal unless told otherwise."""
    check_happened(stamp.at, stamp.now)
    return TimelineEvent.objects.create(
        incident=incident,
        type=type,
        title=title[:300],
        actor=stamp.actor,
        actor_user=stamp.by,
        occurred_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
        **{"visibility": Visibility.INTERNAL, **fields},
    )


def _enter(incident: Incident, phase: Phase, stamp: Stamp, *, title: str, reason: str = "") -> None:
    """The history of entering a phase: a log entry and a phase entry."""
    event = _log(incident, stamp, type=EventType.PHASE, title=title, description=reason, phase_number=phase)
    PhaseEntry.objects.create(
        incident=incident,
        phase_number=phase,
        entered_at=stamp.at,
        recorded_at=stamp.now,
        entered_by=stamp.by,
        reason=reason[:500],
        event=event,
    )


def _column(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", Incident._meta.get_field(name))


def _clean(incident: Incident, name: str, value: object) -> object:
    """`value` as the column takes it. Raises Invalid naming the field."""
    if name == "affected_systems":
        return _systems(value)
    column = _column(name)
    if isinstance(value, str):
        value = clean_text(value, field=name)
    if value == "" and column.null:
        value = None
    try:
        cleaned = column.clean(value, incident)
    except ValidationError as error:
        raise Invalid(f"{name}: {' '.join(error.messages)}", field=name) from None
    return check_https(cleaned, field=name) if name == "bridge_url" and cleaned else cleaned


def _systems(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MAX_SYSTEMS:
        raise Invalid(f"affected_systems must be a list of at most {MAX_SYSTEMS} names.", field="affected_systems")
    names = [clean_text(name, field="affected_systems", max_length=120) for name in value]
    return list(dict.fromkeys(name for name in names if name))


def open_incident(
    *,
    title: str,
    severity: str,
    stamp: Stamp,
    kind: str = Kind.REAL,
    alert_source: str = "",
    dedup_key: str | None = None,
    **fields: object,
) -> Incident:
    """Opens an incident detected at `stamp.at`, in phase 1. `fields` are those of EDITABLE and REACH.

    Raises AlreadyOpen (with the incident's id) if one with this alert source and key is open.
    """
    check_happened(stamp.at, stamp.now, field="detected_at")
    unknown = set(fields) - {*EDITABLE, *REACH}
    if unknown:
        raise Invalid(f"An incident cannot be opened with {', '.join(sorted(unknown))}.")
    incident = Incident(
        phase_entered_at=stamp.at,
        detected_at=stamp.at,
        opened_by=stamp.by,
        created_at=stamp.now,
        alert_source=clean_text(alert_source, field="alert_source", max_length=40),
        dedup_key=clean_text(dedup_key, field="dedup_key", max_length=200) or None,
    )
    for name, value in {"title": title, "severity": severity, **fields}.items():
        setattr(incident, name, _clean(incident, name, value))
    incident.kind = _kind(kind)
    with transaction.atomic():
        _insert(incident)
        _enter(incident, Phase.ALERT, stamp, title=f"Incident opened: {incident.title}")
        transaction.on_commit(partial(_announce, incident.pk), robust=True)
    return incident


def _kind(kind: str) -> str:
    if kind not in Kind.values:
        raise Invalid(f"kind must be one of {', '.join(Kind.values)}.", field="kind", allowed=Kind.values)
    return kind


def _insert(incident: Incident) -> None:
    """Saves a new incident; the database decides which of two simultaneous openings is first.

    A program (nobody opened it) is not told which, if that incident is restricted.
    """
    try:
        with transaction.atomic():
            incident.save(force_insert=True)
    except IntegrityError:
        same_alert = {"alert_source": incident.alert_source, "dedup_key": incident.dedup_key}
        existing = Incident.objects.active().filter(**same_alert).first() if incident.dedup_key else None
        if existing is None:
            raise
        if existing.restricted and incident.opened_by_id is None:
            raise AlreadyOpen("An incident is open for this alert already.") from None
        raise AlreadyOpen(f'"{existing.title}" is open for this alert already.', incident_id=existing.pk) from None


@_action
def advance_phase(
    incident: Incident, to: int, *, stamp: Stamp, reason: str = "", expected_version: int | None = None
) -> Incident:
    """Moves to a later phase, or back into Gather or Assess with a reason."""
    current = _locked(incident, expected_version)
    phase, reason = _phase(to), clean_text(reason, field="reason", max_length=500)
    move = check_move(Phase(current.phase), phase, reason=reason)
    _check_after_phase_began(current, stamp)
    before = Phase(current.phase)
    _write(current, phase=phase, phase_entered_at=stamp.at)
    again = " again" if move == Move.REENTRY else ""
    _enter(current, phase, stamp, title=f"{before.label} → {phase.label}{again}", reason=reason)
    return current


def _phase(number: int) -> Phase:
    try:
        return Phase(number)
    except ValueError:
        raise Invalid("phase must be a number from 1 to 8.", field="phase", allowed=Phase.values) from None


def _check_after_phase_began(incident: Incident, stamp: Stamp) -> None:
    check_happened(stamp.at, stamp.now)
    check_order(
        incident.phase_entered_at,
        stamp.at,
        sentence="{later} is before the current phase began ({earlier}).",
        field="at",
    )


@_action
def change_status(incident: Incident, to: str, *, stamp: Stamp, expected_version: int | None = None) -> Incident:
    """Between Active and Monitoring. Resolving and reopening are actions of their own."""
    current = _locked(incident, expected_version)
    if to not in Status.values:
        raise Invalid(f"status must be one of {', '.join(Status.values)}.", field="status", allowed=Status.values)
    before, after = Status(current.status), Status(to)
    check_status(before, after)
    _write(current, status=after)
    _log(
        current,
        stamp,
        type=EventType.COMMAND,
        title=f"Status: {before.label} → {after.label}",
        changes={"status": [before.value, after.value]},
    )
    return current


@_action
def edit_incident(
    incident: Incident, changes: Mapping[str, object], *, stamp: Stamp, expected_version: int | None = None
) -> Incident:
    """Changes descriptive fields. The log keeps the old and the new value of each; no change writes nothing."""
    current = _locked(incident, expected_version)
    if unknown := set(changes) - {*EDITABLE, *REACH}:
        name = sorted(unknown)[0]
        raise Invalid(f"{name} cannot be edited. These can: {', '.join((*EDITABLE, *REACH))}.", field=name)
    cleaned = {name: _clean(current, name, value) for name, value in changes.items()}
    changed = {name: value for name, value in cleaned.items() if getattr(current, name) != value}
    if not changed:
        return current
    history = {name: [_plain(getattr(current, name)), _plain(value)] for name, value in changed.items()}
    _write(current, **changed)
    labels = [str(_column(name).verbose_name) for name in changed]
    _log(current, stamp, type=EventType.COMMAND, title=f"Changed {', '.join(labels)}", changes=history)
    return current


def _plain(value: object) -> object:
    return iso(value) if isinstance(value, datetime) else value


@_action
def assign_role(
    incident: Incident,
    role: str,
    *,
    stamp: Stamp,
    user: User | None = None,
    name: str = "",
    expected_version: int | None = None,
) -> Incident:
    """Gives a command role to a person (the SRE lead may be just a name), or leaves it unclaimed."""
    current = _locked(incident, expected_version)
    check_open(Status(current.status))
    command_role, holder = _role(role), clean_text(name, field="name", max_length=120)
    if user is None and holder and command_role != CommandRole.SRE:
        raise Invalid(f"{command_role.label} must be a person known here.", field="user")
    _hand_over(current, command_role, user, user.name if user else holder, stamp)
    return current


def _role(role: str) -> CommandRole:
    try:
        return CommandRole(role)
    except ValueError:
        raise Invalid(
            f"role must be one of {', '.join(CommandRole.values)}.", field="role", allowed=CommandRole.values
        ) from None


def _hand_over(incident: Incident, role: CommandRole, user: User | None, name: str, stamp: Stamp) -> None:
    open_row = RoleAssignment.objects.filter(incident=incident, role=role, renounced_at=None).first()
    before = open_row.name if open_row else ""
    if before == name and (open_row.user_id if open_row else None) == (user.pk if user else None):
        raise RoleHeld(f"{name} holds this role already." if name else "Nobody holds this role.", field="user")
    if open_row:
        check_order(
            open_row.assumed_at,
            stamp.at,
            sentence="{later} is before the present holder took the role ({earlier}).",
            field="at",
        )
        RoleAssignment.objects.filter(pk=open_row.pk).update(renounced_at=stamp.at)
    if name:
        RoleAssignment.objects.create(
            incident=incident, role=role, user=user, name=name, assumed_at=stamp.at, assigned_by=stamp.by
        )
    _write(incident, **{role.value: name if role == CommandRole.SRE else user})
    _log(
        incident,
        stamp,
        type=EventType.COMMAND,
        title=f"{role.label}: {before or 'unclaimed'} → {name or 'unclaimed'}",
        changes={role.value: [before or None, name or None]},
    )


@_action
def post_entry(
    incident: Incident,
    title: str,
    *,
    stamp: Stamp,
    description: str = "",
    type: str = EventType.ACTION,
    visibility: str | None = Visibility.INTERNAL,
) -> TimelineEvent:
    """A line in the log. Allowed after resolution too: a late note is better than none."""
    if not clean_text(title, field="title"):
        raise TextMissing(field="title")
    if type not in (EventType.ACTION, EventType.ALERT, EventType.COMMAND):
        raise Invalid(
            "type must be action, alert or command; phases and updates have actions of their own.", field="type"
        )
    return _log(
        incident,
        stamp,
        type=type,
        title=clean_text(title, field="title", max_length=300),
        description=clean_text(description, field="description"),
        visibility=None if visibility is None else _visibility(visibility),
    )


def _visibility(value: str) -> Visibility:
    try:
        return Visibility(value)
    except ValueError:
        raise Invalid(
            f"visibility must be one of {', '.join(Visibility.values)}.", field="visibility", allowed=Visibility.values
        ) from None


@_action
def correct_entry(
    incident: Incident,
    entry: TimelineEvent,
    *,
    stamp: Stamp,
    title: str,
    description: str = "",
    occurred_at: datetime | None = None,
) -> TimelineEvent:
    """Appends a corrected copy; the original stays, struck through. `occurred_at` corrects a wrong time."""
    if entry.incident_id != incident.pk:
        raise WrongIncident
    if entry.corrects_id:
        raise Invalid("Correct the original entry; its latest correction counts.", field="corrects")
    happened = occurred_at or entry.occurred_at
    check_happened(happened, stamp.now, field="occurred_at")
    check_happened(stamp.at, stamp.now)
    return TimelineEvent.objects.create(
        incident=incident,
        type=entry.type,
        title=clean_text(title, field="title", max_length=300, required=True),
        description=clean_text(description, field="description"),
        actor=stamp.actor,
        actor_user=stamp.by,
        occurred_at=happened,
        recorded_at=stamp.now,
        source=stamp.source,
        visibility=entry.visibility,
        phase_number=entry.phase_number,
        corrects=entry,
    )


@_action
def post_update(incident: Incident, content: str, *, visibility: str, stamp: Stamp) -> StatusUpdate:
    """Publishes a note to stakeholders (public) or to the responders (internal)."""
    current = _locked(incident)
    check_open(Status(current.status))
    text = clean_text(content, field="content", required=True)
    audience = _visibility(visibility)
    update = StatusUpdate.objects.create(
        incident=current,
        content=text,
        visibility=audience,
        author=stamp.by,
        author_name=stamp.actor,
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
    )
    if audience == Visibility.PUBLIC:
        _write(current, last_communicated_at=stamp.at)
    _log(current, stamp, type=EventType.UPDATE, title="Update posted", description=text, visibility=audience)
    return update


@_action
def cut_milestone(
    incident: Incident, *, title: str, body: str, stamp: Stamp, next_update_eta: datetime | None = None
) -> Milestone:
    """Publishes a summary to stakeholders and executives, and promises the next one."""
    current = _locked(incident)
    check_open(Status(current.status))
    return _cut(current, title, body, stamp, next_update_eta=next_update_eta)


def _cut(
    incident: Incident, title: str, body: str, stamp: Stamp, *, next_update_eta: datetime | None = None, **flags: bool
) -> Milestone:
    """Call with the incident's row locked: the lock keeps the sequence free of gaps and doubles."""
    check_happened(stamp.at, stamp.now)
    check_promise(next_update_eta, stamp.at)
    last = incident.milestones.aggregate(last=Max("sequence"))["last"] or 0
    milestone = Milestone.objects.create(
        incident=incident,
        sequence=last + 1,
        title=clean_text(title, field="title", max_length=200, required=True),
        body=clean_text(body, field="body", required=True),
        status_at_cut=incident.status,
        next_update_eta=next_update_eta,
        cut_by=stamp.by,
        cut_by_name=stamp.actor,
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
        **flags,
    )
    _write(incident, next_update_eta=next_update_eta, last_communicated_at=stamp.at)
    headline = f"Milestone {milestone.sequence}: {milestone.title}"
    _log(
        incident, stamp, type=EventType.UPDATE, title=headline, description=milestone.body, visibility=Visibility.PUBLIC
    )
    return milestone


@_action
def page_team(
    incident: Incident, team: Team, *, stamp: Stamp, contact_name: str = "", user: User | None = None
) -> TeamPage:
    """Calls a team at the alarm level of the moment. Calling a team that has not come yet counts the call."""
    current = _locked(incident)
    check_open(Status(current.status))
    check_happened(stamp.at, stamp.now, field="paged_at")
    if not team.is_active:
        raise TeamNotDispatchable(field="team")
    contact = clean_text(contact_name, field="contact_name", max_length=200) or team.on_call_contact
    waiting = current.team_pages.waiting().filter(team=team).first()
    page = (
        _page_again(waiting)
        if waiting
        else TeamPage.objects.create(
            incident=current,
            team=team,
            alarm_level=box_for(current.severity),
            contact_name=contact,
            user=user,
            paged_at=stamp.at,
            paged_by=stamp.by,
            recorded_at=stamp.now,
        )
    )
    times = f" (call {page.page_count})" if waiting else ""
    level = f" at {page.get_alarm_level_display()}" if page.alarm_level else ""
    _log(current, stamp, type=EventType.COMMAND, title=f"{team.name} paged{level}{times}", description=contact)
    return page


def _page_again(page: TeamPage) -> TeamPage:
    """The first call keeps its time: the team is as late as it is."""
    TeamPage.objects.filter(pk=page.pk).update(page_count=F("page_count") + 1)
    page.page_count += 1
    return page


@_action
def acknowledge_page(incident: Incident, page: TeamPage, *, stamp: Stamp) -> TeamPage:
    """The team said it is coming."""
    page = _own_page(incident, page)
    if page.acknowledged_at:
        raise PageIsOpen(f"{page.team} acknowledged at {iso(page.acknowledged_at)} already.")
    _check_after_page(page, stamp, "acknowledged_at")
    TeamPage.objects.filter(pk=page.pk, acknowledged_at=None).update(acknowledged_at=stamp.at)
    page.acknowledged_at = stamp.at
    _log(incident, stamp, type=EventType.COMMAND, title=f"{page.team} acknowledged")
    return page


@_action
def record_arrival(
    incident: Incident, page: TeamPage, *, stamp: Stamp, arrival_source: str = ArrivalSource.OBSERVED
) -> TeamPage:
    """The team is on the bridge: seen by the MIM, or reported by the engineer, who becomes a participant."""
    page = _own_page(incident, page)
    if page.arrived_at:
        raise PageIsOpen(f"{page.team} arrived at {iso(page.arrived_at)} already.")
    _check_after_page(page, stamp, "arrived_at")
    changes: dict[str, object] = {"arrived_at": stamp.at, "arrival_source": arrival_source}
    if arrival_source == ArrivalSource.SELF and stamp.by:
        changes["user"] = stamp.by
        Participant.objects.get_or_create(incident=incident, user=stamp.by, defaults={"joined_at": stamp.at})
    TeamPage.objects.filter(pk=page.pk, arrived_at=None).update(**changes)
    for name, value in changes.items():
        setattr(page, name, value)
    _log(incident, stamp, type=EventType.COMMAND, title=f"{page.team} on the bridge")
    return page


def _own_page(incident: Incident, page: TeamPage) -> TeamPage:
    """The page as it is now, under lock, if it belongs to the incident."""
    current = TeamPage.objects.select_for_update(no_key=True, of=("self",)).select_related("team").get(pk=page.pk)
    if current.incident_id != incident.pk:
        raise WrongIncident
    return current


def _check_after_page(page: TeamPage, stamp: Stamp, field: str) -> None:
    check_happened(stamp.at, stamp.now, field=field)
    word = field.removesuffix("_at")
    check_order(page.paged_at, stamp.at, sentence=f"{word} {{later}} is before paged {{earlier}}.", field=field)


@_action
def resolve(incident: Incident, *, summary: str, stamp: Stamp, expected_version: int | None = None) -> Incident:
    """Closes the incident: final milestone, phase 8, no further promise."""
    current = _locked(incident, expected_version)
    check_open(Status(current.status))
    _check_after_phase_began(current, stamp)
    before = Phase(current.phase)
    _write(
        current,
        status=Status.RESOLVED,
        phase=Phase.RESOLUTION,
        phase_entered_at=stamp.at,
        resolved_at=stamp.at,
    )
    _enter(current, Phase.RESOLUTION, stamp, title=f"{before.label} → {Phase.RESOLUTION.label}")
    _cut(current, "Resolved", summary, stamp, is_resolution=True)
    return current


@_action
def reopen(
    incident: Incident, *, reason: str, stamp: Stamp, to: int = Phase.ASSESS, expected_version: int | None = None
) -> Incident:
    """Takes a resolved incident up again. The earlier resolution stays in the history."""
    current = _locked(incident, expected_version)
    phase, why = _phase(to), clean_text(reason, field="reason", max_length=500)
    check_reopen(Status(current.status), phase, reason=why)
    _check_after_phase_began(current, stamp)
    _write(current, status=Status.ACTIVE, phase=phase, phase_entered_at=stamp.at, resolved_at=None)
    _enter(current, phase, stamp, title=f"Reopened into {phase.label}", reason=why)
    return current


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an import wrote of one incident."""

    incident: Incident
    is_new: bool
    updates: int
    closed: bool = False

    @property
    def is_same(self) -> bool:
        return not (self.is_new or self.updates or self.closed)


def record_past_incident(past: PastIncident, *, now: datetime) -> Recorded:
    """Writes an incident that another system recorded, or what is new of one written before.

    Times are the source's, even where they make no sense: the KPIs count such a row as invalid and say
    so. What people wrote here since is never overwritten. Listeners are not told: run the backfill after.
    """
    with transaction.atomic():
        incident = Incident.objects.filter(external_source=past.external_source, external_id=past.external_id).first()
        is_new = incident is None
        if incident is None:
            incident = _insert_past(past, now)
        updates = _append_past_updates(incident, past, now)
        closed = not is_new and _close_past(incident, past, now)
    return Recorded(incident, is_new, updates, closed)


def _insert_past(past: PastIncident, now: datetime) -> Incident:
    resolved = past.resolved_at is not None
    open_status = Status.MONITORING if past.is_monitoring else Status.ACTIVE
    phases = [(Phase.ALERT, past.detected_at), *past.phases]
    if past.resolved_at is not None:
        phases.append((Phase.RESOLUTION, past.resolved_at))
    incident = Incident.objects.create(
        kind=Kind.BACKFILLED,
        title=clean_text(past.title, field="title", max_length=200, required=True),
        severity=Severity(past.severity),
        status=Status.RESOLVED if resolved else open_status,
        phase=phases[-1][0],
        phase_entered_at=phases[-1][1],
        detected_at=past.detected_at,
        resolved_at=past.resolved_at,
        affected_systems=_systems(past.affected_systems),
        external_source=past.external_source,
        external_id=past.external_id,
        metadata=dict(past.metadata),
        created_at=now,
    )
    for phase, at in phases:
        _enter(incident, phase, _import_stamp(past, at, now), title=f"{phase.label} (imported)")
    return incident


def _import_stamp(past: PastIncident, at: datetime, now: datetime) -> Stamp:
    return Stamp(by=None, at=at, now=now, source=Source.IMPORT, name=past.external_source)


def _append_past_updates(incident: Incident, past: PastIncident, now: datetime) -> int:
    known = set(incident.updates.exclude(external_id=None).values_list("external_id", flat=True))
    fresh = [update for update in past.updates if update.external_id not in known]
    texts = [clean_text(update.text, field="update", required=True) for update in fresh]
    StatusUpdate.objects.bulk_create(
        StatusUpdate(
            incident=incident,
            content=text,
            visibility=Visibility.PUBLIC,
            author_name=past.external_source,
            created_at=update.at,
            recorded_at=now,
            source=Source.IMPORT,
            external_id=update.external_id,
        )
        for update, text in zip(fresh, texts, strict=True)
    )
    TimelineEvent.objects.bulk_create(
        TimelineEvent(
            incident=incident,
            type=EventType.UPDATE,
            title=f"Update posted ({update.status})"[:300],
            description=text,
            actor=past.external_source,
            occurred_at=update.at,
            recorded_at=now,
            visibility=Visibility.PUBLIC,
            source=Source.IMPORT,
            external_id=update.external_id,
        )
        for update, text in zip(fresh, texts, strict=True)
    )
    latest = max((update.at for update in fresh), default=None)
    if latest and (incident.last_communicated_at is None or latest > incident.last_communicated_at):
        _write(incident, last_communicated_at=latest)
    return len(fresh)


def _close_past(incident: Incident, past: PastIncident, now: datetime) -> bool:
    """Whether the source has resolved since what is still open here."""
    if past.resolved_at is None or not incident.is_open:
        return False
    at = past.resolved_at
    _write(incident, status=Status.RESOLVED, phase=Phase.RESOLUTION, phase_entered_at=at, resolved_at=at)
    _enter(incident, Phase.RESOLUTION, _import_stamp(past, at, now), title=f"{Phase.RESOLUTION.label} (imported)")
    return True
