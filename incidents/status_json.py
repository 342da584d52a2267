"""The status as Statuspage's API v2 tells it, at the site's root: clients know these paths, and no others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from accounts.middleware import for_all_alike
from incidents.status_door import Door, base_of, status_door
from incidents.status_rules import HEADLINES, Component, Health, PublicIncident, Word
from incidents.status_snapshot import Reading
from majorops.lib.errors import DomainError
from majorops.lib.problems import problem_response
from majorops.lib.times import iso

#: As many as Statuspage lists.
NEWEST = 50


class Teller:
    """Tells one reading to one caller, whose addresses the links are."""

    def __init__(self, reading: Reading, base: str) -> None:
        self.reading, self.board, self.base = reading, reading.board, base
        self.page_id = _id("page", base)

    def page(self) -> dict[str, Any]:
        return {
            "id": self.page_id,
            "name": settings.MAJOROPS_STATUS_NAME,
            "url": self.base + reverse("status:overview"),
            "time_zone": "Etc/UTC",
            "updated_at": iso(self.reading.updated_at),
        }

    def status(self) -> dict[str, Any]:
        return {"indicator": self.board.impact, "description": HEADLINES[self.board.impact]}

    def components(self) -> list[dict[str, Any]]:
        """Groups are components with `group: true`, before what they hold."""
        told: list[dict[str, Any]] = []
        for component in self.board.components:
            if component.group and not any(row["name"] == component.group and row["group"] for row in told):
                told.append(self._group(component.group))
            told.append(self.component(component))
        return told

    def component(self, component: Component) -> dict[str, Any]:
        times = [component.created_at, *(incident.updated_at for incident in self.board.touching(component))]
        return {
            "id": component.id,
            "name": component.name,
            "status": self.board.health(component),
            "created_at": iso(component.created_at),
            "updated_at": iso(max(times)),
            "position": component.position,
            "description": component.description or None,
            "showcase": False,
            "start_date": None,
            "group_id": _id("group", component.group) if component.group else None,
            "page_id": self.page_id,
            "group": False,
            "only_show_if_degraded": False,
        }

    def _group(self, name: str) -> dict[str, Any]:
        within = [component for component in self.board.components if component.group == name]
        told = [self.component(component) for component in within]
        return {
            **told[0],
            "id": _id("group", name),
            "name": name,
            "status": max((row["status"] for row in told), key=list(Health).index),
            "updated_at": max(row["updated_at"] for row in told),
            "description": None,
            "group_id": None,
            "group": True,
            "components": [component.id for component in within],
        }

    def incident(self, incident: PublicIncident) -> dict[str, Any]:
        return {
            "id": incident.id,
            "name": incident.name,
            "status": incident.told_state,
            "created_at": iso(incident.started_at),
            "updated_at": iso(incident.updated_at),
            "monitoring_at": _when(incident.monitoring_at),
            "resolved_at": _when(incident.resolved_at),
            "impact": incident.impact,
            "shortlink": self.base + reverse("status:incident", args=[incident.id]),
            "started_at": iso(incident.started_at),
            "page_id": self.page_id,
            "incident_updates": [self.word(word, incident) for word in incident.said],
            "components": [self.component(component) for component in self.board.named(incident.components)],
            "reminder_intervals": None,
        }

    def word(self, word: Word, incident: PublicIncident) -> dict[str, Any]:
        return {
            "id": word.id,
            "status": word.state,
            "body": f"{word.title}: {word.body}" if word.title else word.body,
            "incident_id": incident.id,
            "created_at": iso(word.said_at),
            "updated_at": iso(word.said_at),
            "display_at": iso(word.said_at),
            "affected_components": None,
            "deliver_notifications": True,
            "custom_tweet": None,
            "tweet_id": None,
        }


def _id(kind: str, name: str) -> str:
    """Stable as long as its name is."""
    return hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:12]


def _when(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _answer(*parts: Callable[[Teller], dict[str, Any]]) -> Door:
    """A door that tells the page, and these parts."""

    @status_door
    def answer(request: HttpRequest, reading: Reading) -> HttpResponse:
        teller = Teller(reading, base_of(request))
        told = {"page": teller.page()}
        for part in parts:
            told |= part(teller)
        if reading.is_stale:
            told["stale"] = {"as_of": iso(reading.snapshot.checked_at)}
        return JsonResponse(told)

    return answer


def _status(teller: Teller) -> dict[str, Any]:
    return {"status": teller.status()}


def _components(teller: Teller) -> dict[str, Any]:
    return {"components": teller.components()}


def _newest(teller: Teller) -> dict[str, Any]:
    return {"incidents": [teller.incident(each) for each in teller.board.incidents[:NEWEST]]}


def _unresolved(teller: Teller) -> dict[str, Any]:
    return {"incidents": [teller.incident(each) for each in teller.board.open]}


def _no_maintenance(teller: Teller) -> dict[str, Any]:
    """There is none to tell of: this is a site of incidents."""
    return {"scheduled_maintenances": []}


class NothingToRead(DomainError):
    """There is nothing at this address. Begin with /api/v2/summary.json."""

    code = "not_found"
    status = 404


@csrf_exempt
@for_all_alike
@require_safe
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """What clients of Statuspage ask for and this site does not have, told to anybody."""
    return problem_response(request, NothingToRead())


status = _answer(_status)
components = _answer(_components)
incidents = _answer(_newest)
unresolved = _answer(_unresolved)
maintenances = _answer(_no_maintenance)
summary = _answer(_components, _unresolved, _no_maintenance, _status)
