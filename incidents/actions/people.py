"""Who takes part: invited, or here."""

from __future__ import annotations

from collections.abc import Sequence

from accounts.models import User
from incidents.actions._core import Stamp, action, locked, log
from incidents.actions.dispatch import Here, arrive, join, own_page
from incidents.clock import check_happened
from incidents.errors import IncidentIsClosed, NotAPerson, TeamUnclear
from incidents.lifecycle import EventType, Verb
from incidents.models import ArrivalSource, Incident, Participant, TeamPage
from incidents.undo import is_same_arrival
from majorops.lib.errors import Invalid
from teams.models import Team


@action
def report_here(incident: Incident, *, stamp: Stamp, team: Team | None = None) -> Here:
    """ "I'm here": the person takes part, and their paged team has arrived. The second time changes nothing.

    `stamp.at` before `stamp.now` is the time of a tap that waited for the network. Raises TeamUnclear where several
    teams of theirs were paged and none is named.
    """
    if stamp.by is None:
        raise NotAPerson
    check_happened(stamp.at, stamp.now)
    current = locked(incident)
    if current.resolved_at and stamp.at > current.resolved_at:
        raise IncidentIsClosed
    pages = _pages_of(current, stamp.by, team)
    meant = _page_meant(pages, stamp.by)
    page = own_page(current, meant) if meant else None
    participant, has_joined = join(current, stamp.by, stamp)
    if page is not None and _is_news(page, stamp):
        return Here(participant, arrive(page, stamp, ArrivalSource.SELF, stamp.by), True)
    if has_joined:
        log(current, stamp, verb=Verb.HERE, type=EventType.COMMAND, title=f"{stamp.by.name} is here")
    return Here(participant, page, has_joined)


def _pages_of(incident: Incident, user: User, team: Team | None) -> list[TeamPage]:
    """The latest dispatch of each of the person's teams; of the named team only, if one is named."""
    awaited = incident.team_pages.filter(cancelled_at=None).select_related("team")
    rows, called = awaited.filter(team__memberships__user=user), awaited.filter(user=user)
    if team is not None:
        rows, called = rows.filter(team=team), called.filter(team=team)
    latest = {page.team_id: page for page in sorted({*rows, *called}, key=lambda page: (page.paged_at, page.pk))}
    if team is not None and not latest:
        raise Invalid(f"{team} was not paged for this incident, or you do not belong to it.", field="team")
    return list(latest.values())


def _page_meant(pages: Sequence[TeamPage], user: User) -> TeamPage | None:
    """The dispatch that the person came for: their own arrival if they reported it, else the one that waits."""
    own = [page for page in pages if page.arrival_source == ArrivalSource.SELF and page.user_id == user.pk]
    waiting = [page for page in pages if page.arrived_at is None]
    if own or len(pages) == 1:
        return (own or list(pages))[0]
    if len(waiting) > 1:
        teams = {page.team.slug: page.team.name for page in waiting}
        told = f"Several of your teams were paged: {', '.join(sorted(teams.values()))}. Say which one you came for."
        raise TeamUnclear(told, field="team", allowed=sorted(teams))
    return waiting[0] if waiting else None


def _is_news(page: TeamPage, stamp: Stamp) -> bool:
    """Whether the report tells when the team came: it had not, or the incident manager only saw it."""
    if page.arrived_at is None:
        return True
    was_seen = page.arrival_source == ArrivalSource.OBSERVED
    return was_seen and stamp.at >= page.paged_at and is_same_arrival(page.arrived_at, stamp.at)


@action
def invite(incident: Incident, user: User, *, stamp: Stamp) -> Participant:
    """Lets a person read and write here as if their team had been paged. The second time changes nothing."""
    current = locked(incident)
    participant, is_new = Participant.objects.get_or_create(
        incident=current, user=user, defaults={"created_at": stamp.now}
    )
    if is_new:
        log(current, stamp, verb=Verb.INVITED, type=EventType.COMMAND, title=f"{user.name} invited")
    return participant
