"""`mim incident` on the database: reads what an administrator reads, writes through the actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from django.db import models
from django.utils import timezone
from rest_framework.serializers import Serializer

from accounts.cli import PersonNotFound
from accounts.emails import canonical_email
from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.roles import Can, Role
from incidents import actions
from incidents.actions import Stamp
from incidents.alerts import deciding
from incidents.candidates_api import CandidateShown
from incidents.cli_port import (
    OF_A_PAGE,
    AlertNotFound,
    Document,
    Done,
    IncidentNotFound,
    Order,
    ReviewNotFound,
    TeamNotFound,
    Verb,
    Verdict,
    Which,
)
from incidents.models import (
    ArrivalSource,
    FollowUp,
    Incident,
    IncidentQuerySet,
    LearningReview,
    Source,
    SourceAlert,
    TeamPage,
)
from incidents.review_api import FollowUpShown, ReviewShown
from incidents.review_export import as_text
from incidents.serializers import EntryShown, IncidentDetail, IncidentShown, MilestoneShown, TeamPageShown, UpdateShown
from incidents.viewing import audience_for, incidents_for
from majorops.lib.errors import Invalid
from majorops.lib.terminal import taken_back
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible
from teams.models import Team

Said = Mapping[str, Any]


def operator() -> User:
    """Whoever runs commands on the server reads the database anyway. Nobody is stored under this name."""
    return User(role=Role.ADMIN)


def shown(shape: type[Serializer[Any]], row: object, **context: object) -> Any:
    """As the API shows it to an administrator."""
    about = {"request": SimpleNamespace(user=operator()), **context}
    return shape(row, many=isinstance(row, list), context=about).data


class Local:
    def found(self, which: Which, limit: int) -> list[Document]:
        return list(shown(IncidentShown, list(_chosen(which)[:limit])))

    def one(self, id: str) -> Document:
        return dict(shown(IncidentDetail, incident_called(id)))

    def pages(self, id: str) -> list[Document]:
        rows = _pages(incident_called(id)).order_by("-paged_at", "-id")
        return list(shown(TeamPageShown, list(rows)))

    def owed_reviews(self) -> list[Document]:
        rows = LearningReview.objects.unpublished().select_related("incident", "owner").prefetch_related("factors")
        return [{**shown(ReviewShown, row), "title": row.incident.title} for row in visible(rows, operator())]

    def review(self, id: str) -> str:
        rows = visible(LearningReview.objects.select_related("incident", "owner"), operator())
        try:
            return as_text(rows.get(incident=parse_ulid(id)), operator(), timezone.now())
        except (ValueError, LearningReview.DoesNotExist):
            raise ReviewNotFound.called(id) from None

    def follow_ups(self, limit: int) -> list[Document]:
        rows = visible(FollowUp.objects.select_related("owner", "review"), operator()).order_by("-id")
        return list(shown(FollowUpShown, list(rows[:limit])))

    def candidates(self) -> list[Document]:
        rows = visible(SourceAlert.objects.waiting().select_related("source"), operator())
        return list(shown(CandidateShown, list(rows)))

    def decided(self, id: str, verdict: Verdict, said: Mapping[str, str], order: Order) -> Document:
        row, stamp = _candidate(id), stamp_of(order)
        match verdict:
            case Verdict.ACCEPT:
                title, severity = said.get("title") or row.title, said.get("severity") or row.severity
                return _answer(deciding.accept(row, title=title, severity=severity, stamp=stamp))
            case Verdict.ATTACH:
                return _answer(deciding.attach(row, incident_called(said["incident"]), stamp=stamp))
            case Verdict.DISMISS:
                return dict(shown(CandidateShown, deciding.dismiss(row, said["reason"], stamp=stamp)))

    def opened(self, said: Said, order: Order) -> Done:
        stamp = stamp_of(order)
        with _tried(order):
            incident = actions.open_incident(stamp=stamp, **said)
            answer = self.one(incident.pk)
        return Done(stamp.at, answer, answer)

    def done(self, id: str, verb: Verb, said: Said, order: Order) -> Done:
        incident, stamp = incident_called(id), stamp_of(order)
        before = dict(shown(IncidentShown, incident))
        with _tried(order):
            row = (
                _page_action(incident, verb, said, stamp)
                if verb in OF_A_PAGE
                else _ACTIONS[verb](incident, said, stamp)
            )
            return Done(stamp.at, before, _answer(row))


def _chosen(which: Which) -> IncidentQuerySet:
    seen = incidents_for(operator())
    match which:
        case Which.OPEN:
            return seen.active()
        case Which.ALL:
            return seen.newest_first()
        case _:
            return seen.filter(status=which.value).newest_first()


def incident_called(text: str) -> Incident:
    """The incident with this id. Raises IncidentNotFound."""
    try:
        return incidents_for(operator()).get(pk=parse_ulid(text))
    except (ValueError, Incident.DoesNotExist):
        raise IncidentNotFound.called(text) from None


def stamp_of(order: Order) -> Stamp:
    """Who and when. A back-dated action keeps the time it is written down beside it."""
    return Stamp(by=commander(order.acting), at=order.at or order.now, now=order.now, source=Source.CLI, name="CLI")


def commander(email: str) -> User | None:
    """Who acts; None is the name CLI. Raises PersonNotFound, RoleRequired."""
    if not email:
        return None
    person = User.objects.filter(email=canonical_email(email)).first()
    if person is None:
        raise PersonNotFound(f"Nobody has the address {email}. See: mim user list")
    if not person.can(Can.COMMAND):
        raise RoleRequired.to(Can.COMMAND)
    return person


def _candidate(id: str) -> SourceAlert:
    try:
        return visible(SourceAlert.objects.select_related("source"), operator()).get(pk=parse_ulid(id))
    except (ValueError, SourceAlert.DoesNotExist):
        raise AlertNotFound from None


def _tried(order: Order) -> AbstractContextManager[None]:
    return taken_back() if order.dry_run else nullcontext()


def _phase(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.advance_phase(incident, said["phase"], reason=said["reason"], stamp=stamp)


def _status(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.change_status(incident, said["status"], stamp=stamp)


def _log(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.post_entry(incident, said["title"], description=said["description"], stamp=stamp)


def _update(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.post_update(incident, said["content"], visibility=said["visibility"], stamp=stamp)


def _milestone(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.cut_milestone(incident, stamp=stamp, **{**said, "entries": _ids(said["entries"])})


def _ids(texts: Iterable[str]) -> list[str]:
    try:
        return [parse_ulid(text) for text in texts]
    except ValueError as error:
        raise Invalid(str(error), field="entries") from None


def _no_change(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.publish_no_change(incident, stamp=stamp, **said)


def _promise(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    actions.move_promise(incident, said["next_update_eta"], reason=said["reason"], stamp=stamp)
    return incident


def _page(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.page_team(incident, _team(said["team"]), contact_name=said["contact_name"], stamp=stamp)


def _resolve(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.resolve(incident, summary=said["summary"], stamp=stamp)


def _reopen(incident: Incident, said: Said, stamp: Stamp) -> models.Model:
    return actions.reopen(incident, reason=said["reason"], to=said["phase"], stamp=stamp)


_ACTIONS: dict[Verb, Callable[[Incident, Said, Stamp], models.Model]] = {
    Verb.PHASE: _phase,
    Verb.STATUS: _status,
    Verb.LOG: _log,
    Verb.UPDATE: _update,
    Verb.MILESTONE: _milestone,
    Verb.NO_CHANGE: _no_change,
    Verb.PROMISE: _promise,
    Verb.PAGE: _page,
    Verb.RESOLVE: _resolve,
    Verb.REOPEN: _reopen,
}


def _page_action(incident: Incident, verb: Verb, said: Said, stamp: Stamp) -> models.Model:
    page = _pages(incident).get(pk=said["page"])
    if verb == Verb.ACKNOWLEDGE:
        return actions.acknowledge_page(incident, page, stamp=stamp)
    return actions.record_arrival(incident, page, arrival_source=ArrivalSource.OBSERVED, stamp=stamp)


def _pages(incident: Incident) -> models.QuerySet[TeamPage]:
    return visible(incident.team_pages.select_related("team", "user"), operator())


def _answer(row: models.Model) -> Document:
    if isinstance(row, Incident):
        return dict(shown(IncidentDetail, incident_called(row.pk)))
    shape = {"StatusUpdate": UpdateShown, "Milestone": MilestoneShown, "TeamPage": TeamPageShown}
    if (name := type(row).__name__) in shape:
        return dict(shown(shape[name], row))
    return dict(shown(EntryShown, row, audience=audience_for(operator(), row.incident)))  # type: ignore[attr-defined]


def _team(text: str) -> Team:
    team = Team.objects.called(text)
    if team is None:
        raise TeamNotFound.called(text, Team.objects.values_list("slug", "name"))
    return team
