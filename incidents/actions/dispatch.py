"""Teams that are called, answer, come, and are sent home."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F

from accounts.models import User
from incidents import outbox
from incidents.actions._core import Stamp, action, locked, log
from incidents.clock import check_happened, check_order
from incidents.errors import PageIsOpen, PageIsVoid, TeamNotDispatchable, WrongIncident
from incidents.lifecycle import EventType, Status, Verb, box_for, check_open
from incidents.models import ArrivalSource, Incident, Participant, TeamPage, TimelineEvent
from majorops.lib.text import clean_text
from majorops.lib.times import iso
from teams.models import Team

#: What a re-issued dispatch takes over from the row it replaces, besides the answers that still hold.
DISPATCH = ("incident", "team", "alarm_level", "contact_name", "paged_at", "paged_by", "page_count")
ARRIVAL = ("arrived_at", "arrival_source", "arrival_recorded_at")
ANSWERS = ("user", "acknowledged_at", *ARRIVAL, "cancelled_at")


@action
def page_team(
    incident: Incident, team: Team, *, stamp: Stamp, contact_name: str = "", user: User | None = None
) -> TeamPage:
    """Calls a team at the alarm level of the moment. Calling a team that has not come yet counts the call.

    A contact that is called like a member is that member.
    """
    current = locked(incident)
    check_open(Status(current.status))
    check_happened(stamp.at, stamp.now, field="paged_at")
    if not team.is_active:
        raise TeamNotDispatchable(field="team")
    contact = clean_text(contact_name, field="contact_name", max_length=200) or team.on_call_contact
    if user is None and (user := team.member_called(contact)):
        contact = user.name
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
    verb = Verb.CALLED_AGAIN if waiting else Verb.PAGED
    _note(page, stamp, verb, f"{team.name} paged{level}{times}", description=contact)
    outbox.queue_page(page, stamp.now)
    return page


def _page_again(page: TeamPage) -> TeamPage:
    """The first call keeps its time: the team is as late as it is."""
    TeamPage.objects.filter(pk=page.pk).update(page_count=F("page_count") + 1)
    page.page_count += 1
    return page


def _note(page: TeamPage, stamp: Stamp, verb: Verb, title: str, description: str = "") -> TimelineEvent:
    return log(page.incident, stamp, verb=verb, type=EventType.COMMAND, title=title, description=description, page=page)


@action
def acknowledge_page(incident: Incident, page: TeamPage, *, stamp: Stamp) -> TeamPage:
    """The team said it is coming."""
    page = own_page(incident, page)
    if page.acknowledged_at:
        raise PageIsOpen(f"{page.team} acknowledged at {iso(page.acknowledged_at)} already.")
    _check_after_page(page, stamp, "acknowledged_at")
    _set(page, acknowledged_at=stamp.at)
    _note(page, stamp, Verb.ACKNOWLEDGED, f"{page.team} acknowledged")
    return page


@action
def record_arrival(
    incident: Incident, page: TeamPage, *, stamp: Stamp, arrival_source: str = ArrivalSource.OBSERVED
) -> TeamPage:
    """The team is on the bridge: seen by the MIM, or reported by the engineer, who becomes a participant."""
    page = own_page(incident, page)
    if page.arrived_at:
        raise PageIsOpen(f"{page.team} arrived at {iso(page.arrived_at)} already.")
    engineer = stamp.by if arrival_source == ArrivalSource.SELF else None
    if engineer:
        join(incident, engineer, stamp)
    return arrive(page, stamp, arrival_source, engineer)


@action
def stand_down(incident: Incident, page: TeamPage, *, reason: str, stamp: Stamp) -> TeamPage:
    """The team need not come any more. The log says why."""
    page = own_page(incident, page)
    why = clean_text(reason, field="reason", max_length=500, required=True)
    if page.arrived_at or page.cancelled_at:
        state = "is on the bridge" if page.arrived_at else "was stood down"
        raise PageIsOpen(f"{page.team} {state} already.")
    _check_after_page(page, stamp, "cancelled_at")
    _set(page, cancelled_at=stamp.at)
    _note(page, stamp, Verb.STOOD_DOWN, f"{page.team} stood down", description=why)
    return page


def join(incident: Incident, user: User, stamp: Stamp) -> tuple[Participant, bool]:
    """The person takes part; whether that is new. The first time counts."""
    participant, is_new = Participant.objects.get_or_create(
        incident=incident, user=user, defaults={"joined_at": stamp.at, "created_at": stamp.now}
    )
    if participant.joined_at is None:
        Participant.objects.filter(pk=participant.pk).update(joined_at=stamp.at)
        participant.joined_at, is_new = stamp.at, True
    return participant, is_new


def arrive(page: TeamPage, stamp: Stamp, source: str, engineer: User | None) -> TeamPage:
    """Writes an arrival on a page, under lock, that has none. What was observed before, or somebody else's page, is
    voided, and the dispatch goes on in another row."""
    _check_after_page(page, stamp, "arrived_at")
    verb = Verb.HERE if source == ArrivalSource.SELF else Verb.ARRIVED
    event = _note(page, stamp, verb, f"{page.team} on the bridge")
    arrival = {"arrived_at": stamp.at, "arrival_source": source, "arrival_recorded_at": stamp.now}
    if engineer:
        arrival["user"] = engineer
    if page.arrived_at or (engineer and page.user_id not in (None, engineer.pk)):
        return reissue(page, event, stamp, **arrival)
    return _set(page, **arrival)


def _set(page: TeamPage, **answers: object) -> TeamPage:
    TeamPage.objects.filter(pk=page.pk).update(**answers)
    for name, value in answers.items():
        setattr(page, name, value)
    return page


def void(page: TeamPage, event: TimelineEvent, stamp: Stamp) -> None:
    """Takes a dispatch, under lock, out of what counts; `event` is why."""
    _set(page, voided_at=stamp.now, voided_by_event=event)


def reissue(page: TeamPage, event: TimelineEvent, stamp: Stamp, **answers: object) -> TeamPage:
    """Voids a dispatch and goes on with it in another row, with other answers."""
    kept = {name: getattr(page, name) for name in (*DISPATCH, *ANSWERS)}
    void(page, event, stamp)
    return TeamPage.objects.create(**{**kept, **answers}, replaces=page, recorded_at=stamp.now)


def own_page(incident: Incident, page: TeamPage) -> TeamPage:
    """The dispatch as it is now, under lock, if it belongs to the incident: of a void row, what replaced it."""
    rows = TeamPage.with_voided.select_for_update(no_key=True, of=("self",)).select_related("team", "incident")
    current = rows.get(pk=page.pk)
    if current.incident_id != incident.pk:
        raise WrongIncident
    while current.voided_at:
        after = rows.filter(replaces=current).first()
        if after is None:
            raise PageIsVoid
        current = after
    return current


@dataclass(frozen=True, slots=True)
class Here:
    """What "I'm here" came to. `page` is the dispatch of the person's team, if one was waiting or is theirs."""

    participant: Participant
    page: TeamPage | None
    is_new: bool


def _check_after_page(page: TeamPage, stamp: Stamp, field: str) -> None:
    check_happened(stamp.at, stamp.now, field=field)
    word = field.removesuffix("_at")
    check_order(page.paged_at, stamp.at, sentence=f"{word} {{later}} is before paged {{earlier}}.", field=field)
