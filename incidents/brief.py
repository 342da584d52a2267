"""The stakeholder's brief: what changed since they last looked, and when the next word comes.

It is the same for every reader, incident managers too: they see here what stakeholders see. Only the divider, the
acknowledgement and one's own question are a person's own, and they stand outside of what is pushed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.models import User
from accounts.visibility import Viewer
from incidents import clock
from incidents.badges import Badge, due_badge, severity_badge
from incidents.board import promises_kept
from incidents.lifecycle import CommandRole, Kind, Phase
from incidents.models import Incident, Milestone, StatusUpdate
from majorops.lib.visibility import visible

#: The newest updates; all of them are in the log.
UPDATES = 10


@dataclass(frozen=True, slots=True)
class Told:
    """One milestone or public update, and what became of the promise it delivered."""

    kind: str
    at: datetime
    title: str
    body: str
    by: str
    number: int = 0
    status: str = ""
    is_new: bool = False
    #: The reader was here after what follows: the divider stands above it.
    ends_news: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    label: str
    holder: str


@dataclass(frozen=True, slots=True)
class Brief:
    incident: Incident
    now: datetime
    severity: Badge
    due: Badge
    kind: str
    elapsed: timedelta
    phase: Phase
    #: The milestones, newest first.
    told: list[Told]
    updates: list[Told]
    kept: int
    judged: int
    contacts: list[Contact]
    #: How many of the rows are new to this reader; None where that is not known.
    news: int | None = None

    @property
    def is_overdue(self) -> bool:
        return self.due.tone == "over" and self.incident.is_open


def brief(incident: Incident, viewer: Viewer, now: datetime, since: datetime | None = None) -> Brief:
    """The brief of an incident from `incidents_for`. Two queries. `since`: what is newer is new to the reader."""
    milestones = list(visible(incident.milestones.order_by("sequence"), viewer))
    public = visible(incident.updates.for_audience(internal=False), viewer)
    updates = list(public.order_by("-created_at", "-id")[:UPDATES])
    kept, judged = promises_kept(incident, milestones, viewer, now)
    told = _marked([_milestone(each) for each in reversed(milestones)], since)
    said = _marked([_update(each) for each in updates], since)
    return Brief(
        incident=incident,
        now=now,
        severity=severity_badge(incident.severity),
        due=due_badge(incident.next_update_eta, now),
        kind="" if incident.kind == Kind.REAL else Kind(incident.kind).label,
        elapsed=clock.elapsed(incident.detected_at, now, incident.resolved_at),
        phase=Phase(incident.phase),
        told=told,
        updates=said,
        kept=kept,
        judged=judged,
        contacts=[Contact(role.label, str(incident.holder(role))) for role in CommandRole if incident.holder(role)],
        news=None if since is None else sum(row.is_new for row in (*told, *said)),
    )


def _milestone(row: Milestone) -> Told:
    status = row.get_status_at_cut_display()
    return Told("milestone", row.created_at, row.title, row.body, row.cut_by_name, row.sequence, status)


def _update(row: StatusUpdate) -> Told:
    return Told("update", row.created_at, "", row.content, row.author_name)


def _marked(rows: Sequence[Told], since: datetime | None) -> list[Told]:
    """The rows, newest first, with what is new marked, and where the divider stands."""
    if since is None:
        return list(rows)
    news = [row.at > since for row in rows]
    return [
        _with(row, is_new=new, ends_news=new and not all(news) and (index + 1 == len(rows) or not news[index + 1]))
        for index, (row, new) in enumerate(zip(rows, news, strict=True))
    ]


def _with(row: Told, **marks: bool) -> Told:
    return Told(row.kind, row.at, row.title, row.body, row.by, row.number, row.status, **marks)


def brief_context(incident: Incident, viewer: User, now: datetime) -> dict[str, Any]:
    """What the pushed parts of the page are made of. Nothing in it is one person's own."""
    return {"incident": incident, "brief": brief(incident, viewer, now), "now": now}
