"""What a browser gets pushed of one incident: the parts of the command page that change by themselves.

A *standing* says up to which state somebody has the page. It is a ULID, made only of what that person may read: its
time is that of the newest entry they see, the rest is a digest. Two standings differ exactly if there is something new
for them, so it serves as event id, as ETag and as the answer to "what did I miss", and needs no memory on the server: a
restart forgets nothing, and what is kept from somebody cannot move theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db.models import Count, Expression, OuterRef, QuerySet, Subquery
from django.template.loader import render_to_string
from ulid import ULID

from accounts.models import User
from accounts.principals import Rights
from incidents import clock
from incidents.brief import brief_context
from incidents.desk import command_page
from incidents.executive import exec_context
from incidents.logbook import Entry, Reader, as_written
from incidents.models import Incident, TimelineEvent
from incidents.viewing import audience_for, incidents_for, people_named
from majorops.lib.prepared import MOMENT, ROW, VIEWER, Blank, ask
from majorops.lib.visibility import readable, visible

#: Each is a partial `incidents/_<name>.html` whose root element has the id `live-<name>`.
BLOCKS = ("head", "steps", "first_steps", "brief", "teams", "log", "command", "impact", "metrics", "figures")


@dataclass(frozen=True, slots=True)
class Face:
    """A page that is kept up to date: the blocks it has, and what they are made of. The command page is ""."""

    blocks: tuple[str, ...]
    context: Callable[[Incident, User, datetime], dict[str, Any]]


FACES = {
    "": Face(BLOCKS, command_page),
    "brief": Face(("briefing",), brief_context),
    "exec": Face(("executive",), exec_context),
}

#: Everybody's forms are in the same bytes; the script puts in the token that the page came with.
CSRF_OF_THE_PAGE = "of-the-page"

#: What apps above this one show on the page: name -> expression over an incident that changes when it does.
also_shown: dict[str, Callable[[User], Expression | Subquery]] = {}


@dataclass(frozen=True, slots=True)
class State:
    """One incident as one person may see it now."""

    incident: Incident
    standing: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches which incident, and up to which standing they have it."""

    person: User
    incident_id: str
    standing: str
    #: Which of FACES.
    face: str = ""


def may_watch(person: User, incident_id: str) -> bool:
    """Whether it exists for this person. A tenth of the work of `state_for`."""
    return bool(ask(_seen, Rights.of(person), blanks={VIEWER: person.pk, ROW: incident_id}))


def _seen(rights: Rights) -> QuerySet[Any]:
    return visible(Incident.objects.order_by(), rights.somebody(VIEWER)).filter(pk=ROW).values_list("pk")


def state_for(person: User, incident_id: str, now: datetime) -> State | None:
    """None if it does not exist for this person. One query."""
    seen = cast("QuerySet[Incident]", incidents_for(person))
    incident = _with_marks(seen, person).filter(pk=incident_id).first()
    return None if incident is None else State(incident, _standing(incident, person, now))


def _with_marks(incidents: QuerySet[Incident], person: User) -> QuerySet[Incident]:
    entries = visible(TimelineEvent.objects.filter(incident=OuterRef("pk")), person).order_by()
    # A ledger only grows, so its length tells whether there is anything new.
    count = entries.values("incident").annotate(n=Count("pk")).values("n")
    newest = entries.order_by("-recorded_at").values("recorded_at")[:1]
    marks = {f"mark_{name}": expression(person) for name, expression in also_shown.items()}
    return incidents.annotate(mark_entries=Subquery(count), mark_newest=Subquery(newest), **marks)


def _standing(incident: Incident, person: User, now: datetime) -> str:
    shown: dict[str, Any] = {name: getattr(incident, name) for name in readable(Incident, person, incident)}
    shown |= {name: mark for name, mark in vars(incident).items() if name.startswith("mark_")}
    # The one thing that changes without anybody doing anything: a promise falls due.
    shown["promise"] = clock.next_update(incident.next_update_eta, now).state if incident.is_open else ""
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).digest()
    newest: datetime = shown["mark_newest"] or incident.detected_at
    return str(ULID(int(newest.timestamp() * 1000).to_bytes(6, "big") + digest[:10]))


def blocks_for(person: User, incident: Incident, now: datetime, face: str = "") -> dict[str, str]:
    """Every block of a page as this person sees it. `incident` comes from `state_for`."""
    shown = FACES[face]
    context = shown.context(incident, person, now) | {"csrf_token": CSRF_OF_THE_PAGE}
    return {name: render_to_string(f"incidents/_{name}.html", context) for name in shown.blocks}


def written_since(state: State, person: User) -> dict[str, str]:
    """Entries that belong on top of the log, which was shown as of `state`: their ids and markup, newest first.

    They are for the eye: sent ahead of the blocks, which take far longer to draw and say the same. So entries that
    belong elsewhere are left to those: back-dated ones, and what corrects or undoes an older one.
    """
    blanks: dict[Blank, Blank | None] = {VIEWER: person.pk, ROW: state.incident.pk, MOMENT: newest_of(state.standing)}
    rows = ask(_written_after, Rights.of(person), blanks=blanks)
    events = [TimelineEvent.from_db(state.incident._state.db, _COLUMNS, row) for row in rows]
    reader, incident = Reader(person, audience_for(person, state.incident)), state.incident
    may_compose = reader.audience.may_command and incident.is_open
    return {event.pk: _entry(as_written(event, reader), incident, may_compose=may_compose) for event in events}


_COLUMNS = [field.attname for field in TimelineEvent._meta.concrete_fields]


def _written_after(rights: Rights) -> QuerySet[Any]:
    on_top = TimelineEvent.objects.filter(
        incident=ROW, recorded_at__gt=MOMENT, occurred_at__gte=MOMENT, corrects=None, undoes=None
    )
    return visible(on_top, rights.somebody(VIEWER)).newest_first().values_list(*_COLUMNS)


def newest_of(standing: str) -> datetime:
    """When the newest entry of that standing was written, to the millisecond."""
    return ULID.from_str(standing).datetime


def _entry(entry: Entry, incident: Incident, *, may_compose: bool) -> str:
    told = {"entry": entry, "incident": incident, "may_compose": may_compose}
    return render_to_string("incidents/_entry.html", told)


def sharers(incident_id: str, people: Iterable[User]) -> dict[tuple[str, ...], list[User]]:
    """The people in groups that see the same page, so that it is rendered once for each.

    What one sees follows from one's role, and from being named in the incident: those stand alone.
    """
    named = people_named(incident_id)
    groups: dict[tuple[str, ...], list[User]] = defaultdict(list)
    for person in people:
        groups[(person.role, person.pk) if person.pk in named else (person.role,)].append(person)
    return groups
