"""Asks services whether they are well, and tells each answer as a `health_check` fact.

MAJOROPS_HEALTH_CHECKS names them: `api:core=https://api.example.com/health,pi-1:edge=http://10.0.0.7/`. Only an answer
of 2xx in time is well: no answer, a late one and a redirect are failures, and count as such.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings

from kpis.facts import ingest
from kpis.self_measurement import SOURCE, need
from majorops.lib import outgoing
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso

KIND = "health_check"
TIERS = ("core", "edge")
#: Seconds for the whole exchange.
WITHIN = 5.0
AT_ONCE = 8
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,79})(?::([a-z]+))?=(\S+)")


class NoSuchService(DomainError):
    """No such service is named in MAJOROPS_HEALTH_CHECKS."""

    code = "unknown_service"
    status = 404


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    tier: str
    url: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a service answered."""

    service: Service
    is_well: bool
    said: str


def services(lines: Iterable[str]) -> list[Service]:
    """The services that the setting names. Raises Invalid."""
    found = [_service(line.strip()) for line in lines if line.strip()]
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"MAJOROPS_HEALTH_CHECKS names {twice[0]} twice.")
    return found


def _service(line: str) -> Service:
    match = _NAMED.fullmatch(line)
    if match is None:
        raise Invalid(f"MAJOROPS_HEALTH_CHECKS: {line[:80]!a} is not name=URL or name:tier=URL.")
    name, tier, url = match[1], match[2] or "", match[3]
    if tier and tier not in TIERS:
        raise Invalid(f"MAJOROPS_HEALTH_CHECKS: the tier of {name} must be core or edge.")
    if not _is_address(url):
        raise Invalid(f"MAJOROPS_HEALTH_CHECKS: the address of {name} must begin with https:// or http:// and a host.")
    return Service(name, tier, url)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check(now: datetime, names: Collection[str] = ()) -> list[Asked]:
    """Asks these services, or all of them, and writes what they answered. Raises NoSuchService, UnknownKind."""
    known = services(settings.MAJOROPS_HEALTH_CHECKS)
    if strangers := sorted(set(names) - {each.name for each in known}):
        told = ", ".join(each.name for each in known) or "none"
        raise NoSuchService(f"MAJOROPS_HEALTH_CHECKS names no service {strangers[0][:60]!a}. It names: {told}.")
    chosen = [each for each in known if not names or each.name in names]
    if not chosen:
        return []
    need(KIND)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        asked = list(threads.map(ask, chosen))
    _tell(asked, now)
    return asked


def ask(service: Service) -> Asked:
    """One question. The addresses are the operator's own, so they may lead into private networks."""
    try:
        status = outgoing.get(service.url, guarded=False, within=WITHIN, most=0).status
    except outgoing.NotSent as error:
        return Asked(service, False, str(error))
    return Asked(service, HTTPStatus(200) <= status < HTTPStatus(300), f"It answered {status}.")


def _tell(asked: Sequence[Asked], now: datetime) -> None:
    events = ((number, _event(each, now)) for number, each in enumerate(asked, start=1))
    report = ingest.append_events(events, source=SOURCE, now=now)
    if report.errors:
        raise Invalid(f"{asked[report.errors[0].line - 1].service.name}: {report.errors[0].reason}")


def _event(asked: Asked, now: datetime) -> dict[str, object]:
    service = asked.service
    payload = {"service": service.name, "ok": asked.is_well, **({"tier": service.tier} if service.tier else {})}
    return {"kind": KIND, "occurredAt": iso(now), "payload": payload, "key": f"health:{iso(now)}:{service.name}"}


def in_words(asked: Sequence[Asked]) -> str:
    """`2 of 3 are well. api: It did not answer in time.`"""
    if not asked:
        return "MAJOROPS_HEALTH_CHECKS names no service."
    ill = [f" {each.service.name}: {each.said}" for each in asked if not each.is_well]
    return f"{len(asked) - len(ill)} of {len(asked)} are well.{''.join(ill)}"
