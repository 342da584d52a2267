"""Writes the decision log: who decided what about which thing, and on what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accounts.idempotency import effect
from kpis.facts import registry
from kpis.facts.aliases import alias_of
from kpis.facts.checking import made_key, payload_text
from kpis.facts.errors import BadFact
from kpis.facts.kinds import DECISION
from kpis.facts.schema import EMAIL, UNSTORABLE, clean_payload
from kpis.models import Decision
from majorops.lib.links import check_https
from majorops.lib.times import SKEW, parse_time, to_millisecond

_LIMITS = {"scope": 40, "action": 80, "subject_type": 24, "subject_id": 120, "request_id": 80, "key": 200}


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as somebody tells it. `payload` holds fields of the fact kind `decision`."""

    scope: str
    action: str
    decided_at: datetime
    subject_type: str = ""
    subject_id: str = ""
    actor: str = ""
    evidence_url: str = ""
    request_id: str = ""
    key: str = ""
    payload: Mapping[str, object] = field(default_factory=dict)


def record(decided: Decided, *, source: str, now: datetime) -> tuple[Decision, bool]:
    """The decision as it is stored, and whether it is new. Raises Invalid."""
    now = to_millisecond(now)
    decided_at = _check(decided, now)
    schema = registry.fresh().kinds[DECISION].schema
    payload = clean_payload(decided.payload, schema, alias_of)
    about = "\0".join([decided.scope, decided.action, decided.subject_type, decided.subject_id])
    key = decided.key or made_key(DECISION, decided_at, about, payload_text(payload))
    with effect():
        return Decision.objects.get_or_create(
            source=source,
            dedupe_key=key,
            defaults={
                "decided_at": decided_at,
                "received_at": now,
                "scope": decided.scope,
                "action": decided.action,
                "subject_type": decided.subject_type,
                "subject_id": decided.subject_id,
                "payload": payload,
                "actor": _actor(decided.actor),
                "evidence_url": decided.evidence_url,
                "request_id": decided.request_id,
            },
        )


def _check(decided: Decided, now: datetime) -> datetime:
    for name, limit in _LIMITS.items():
        value = getattr(decided, name)
        if len(value) > limit or UNSTORABLE.search(value) or EMAIL.fullmatch(value):
            raise BadFact(f"{name} has at most {limit} characters and is no e-mail address.", field=name)
    if not decided.scope or not decided.action:
        raise BadFact(
            "A decision has a scope, such as ops, and an action, such as chatwoot.reply.sent.", field="action"
        )
    if bool(decided.subject_type) != bool(decided.subject_id):
        raise BadFact("A subject has a type and an id: both or neither.", field="subject_id")
    if len(decided.evidence_url) > 500:
        raise BadFact("evidence_url has at most 500 characters.", field="evidence_url")
    if decided.evidence_url:
        check_https(decided.evidence_url, field="evidence_url")
    decided_at = parse_time(decided.decided_at, field="decided_at")
    if decided_at > now + SKEW:
        raise BadFact("decided_at lies in the future. Check the sender's clock.", field="decided_at")
    return decided_at


def _actor(actor: str) -> str:
    if EMAIL.fullmatch(actor):
        return alias_of(actor)
    if "@" in actor or len(actor) > 80 or UNSTORABLE.search(actor):
        raise BadFact("actor is an alias of at most 80 characters without @.", field="actor")
    return actor
