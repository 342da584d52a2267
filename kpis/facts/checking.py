"""RULES: whether an event may become a fact, and which. The reference; admission.py is the quick way to the same.

An event is a JSON object:

    kind         which fact kind; required
    occurredAt   when it happened: RFC 3339 with a zone, or Unix milliseconds
    subject      what it is about, as an id; its type is the kind's
    payload      the fields of the kind
    actor        who did it, as an alias; an e-mail address is replaced by one
    requestId    the request it belongs to
    confidence   how sure it is, 0 to 1; 1 unless said
    key          what makes it one: a second event with this key from the same sender is a duplicate
    supersedes   the id of a fact that this one corrects
    version      the version of the kind that the sender knows; only the current one is taken
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from kpis.facts.schema import EMAIL, ENVELOPE, UNSTORABLE, Alias, Schema, clean_payload
from kpis.formulas.language import FieldType
from majorops.lib.errors import Invalid
from majorops.lib.times import SKEW, iso, parse_time

OCCURRED = "occurred_at"
KEYS = frozenset({
    "kind", "occurredAt", "subject", "payload", "actor", "requestId", "confidence", "key", "supersedes", "version",
})  # fmt: skip
MAX_SUBJECT, MAX_ACTOR, MAX_KEY = 120, 80, 200
_NO_ALLOWANCE = "must be text of at most {limit} characters, without NUL or half a surrogate pair"


class Refused(Invalid):
    """This event is no fact."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.code = code


@dataclass(frozen=True, slots=True)
class KindRule:
    """What is taken of one kind."""

    key: str
    version: int
    status: str
    schema: Schema
    subject_type: str = ""
    subject_field: str = ""
    time_field: str = OCCURRED
    expected_every: str = ""
    freshness: str = ""

    @property
    def fields(self) -> dict[str, FieldType]:
        """Every field that a formula may read of it."""
        own = {"incident_id": FieldType.ID} if self.subject_type == "incident" else {}
        return {**ENVELOPE, **own, **self.schema.shape}


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A fact as it will be stored. `is_plain`: no text in it needs escaping anywhere."""

    kind: str
    version: int
    occurred_at: datetime
    occurred_text: str
    subject_type: str
    subject_id: str
    payload_text: str
    actor: str
    request_id: str
    confidence: float
    key: str
    supersedes: str | None
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds while a batch is checked."""

    kinds: Mapping[str, KindRule]
    now: datetime
    alias: Alias
    parks: bool = False
    latest: datetime = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latest", self.now + SKEW)


def check(event: object, terms: Terms) -> Checked:
    """The fact that the event tells. Raises Refused, and Invalid for a field."""
    if not isinstance(event, Mapping):
        raise Refused("invalid_fact", 'An event is a JSON object: {"kind": "deployed", "occurredAt": "...", ...}.')
    if strangers := sorted(str(key) for key in event if key not in KEYS):
        told = f"{strangers[0][:60]!a} is not known here. Allowed: {', '.join(sorted(KEYS))}."
        raise Refused("invalid_fact", told, field="payload")
    rule = _rule(event, terms)
    payload = clean_payload(event.get("payload", {}), rule.schema, terms.alias)
    occurred_at = _occurred_at(event, payload, rule, terms)
    subject_id = _subject(event, payload, rule)
    text = payload_text(payload)
    key = _text(event, "key", MAX_KEY) or made_key(rule.key, occurred_at, subject_id, text)
    return Checked(
        kind=rule.key,
        version=rule.version,
        occurred_at=occurred_at,
        occurred_text=str(iso(occurred_at)),
        subject_type=rule.subject_type,
        subject_id=subject_id,
        payload_text=text,
        actor=_actor(event, terms.alias),
        request_id=_text(event, "requestId", MAX_ACTOR),
        confidence=_confidence(event),
        key=key,
        supersedes=_text(event, "supersedes", 26).upper() or None,
        is_plain=False,
    )


def _rule(event: Mapping[str, object], terms: Terms) -> KindRule:
    key = event.get("kind")
    if not isinstance(key, str) or not key or len(key) > 80 or UNSTORABLE.search(key):
        raise Refused("invalid_fact", "kind is missing: the name of a fact kind, e.g. deployed.", field="kind")
    rule = terms.kinds.get(key)
    if rule is None:
        told = "Define it in the admin under Fact kinds, or correct the name."
        raise Refused("unknown_kind", f"There is no fact kind {key!a}. {told}", field="kind")
    if rule.status != "active":
        raise Refused("kind_not_in_use", f"The fact kind {key} is {rule.status} and takes no facts.", field="kind")
    version = event.get("version", rule.version)
    if isinstance(version, bool) or version != rule.version:
        told = f"{key} is at version {rule.version}; this event is for another. Send it as the current one says."
        raise Refused("wrong_version", told, field="version")
    return rule


def _occurred_at(event: Mapping[str, object], payload: Mapping[str, object], rule: KindRule, terms: Terms) -> datetime:
    stated = event.get("occurredAt")
    if stated is None and rule.time_field != OCCURRED:
        stated = payload.get(rule.time_field)
    if isinstance(stated, str) and UNSTORABLE.search(stated):
        stated = ""
    occurred_at = parse_time(stated, field="occurredAt")
    if occurred_at > terms.latest:
        raise Refused("invalid_fact", "occurredAt lies in the future. Check the sender's clock.", field="occurredAt")
    return occurred_at


def _subject(event: Mapping[str, object], payload: Mapping[str, object], rule: KindRule) -> str:
    stated = _text(event, "subject", MAX_SUBJECT)
    if not rule.subject_type:
        if stated:
            raise Refused("invalid_fact", f"Facts of the kind {rule.key} are about nothing; leave subject out.")
        return ""
    if not stated and rule.subject_field:
        named = payload.get(rule.subject_field)
        stated = named if isinstance(named, str) else ""
        if len(stated) > MAX_SUBJECT:
            raise Refused(
                "invalid_fact", f"payload.{rule.subject_field} names the subject: at most {MAX_SUBJECT} characters."
            )
    if not stated:
        place = f" or payload.{rule.subject_field}" if rule.subject_field else ""
        raise Refused("invalid_fact", f"subject{place} is missing: which {rule.subject_type} it is about.")
    if EMAIL.fullmatch(stated):
        raise Refused("invalid_fact", "subject must be no e-mail address: send an alias.", field="subject")
    return stated


def _text(event: Mapping[str, object], name: str, limit: int) -> str:
    value = event.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > limit or UNSTORABLE.search(value):
        raise Refused("invalid_fact", f"{name} {_NO_ALLOWANCE.format(limit=limit)}.", field=name)
    if name != "actor" and EMAIL.fullmatch(value):
        raise Refused("invalid_fact", f"{name} must be no e-mail address: send an alias.", field=name)
    return value


def _actor(event: Mapping[str, object], alias: Alias) -> str:
    actor = _text(event, "actor", MAX_KEY)
    if EMAIL.fullmatch(actor):
        return alias(actor)
    if "@" in actor or len(actor) > MAX_ACTOR:  # "Ann <ann@example.com>" is an address too
        raise Refused("invalid_fact", f"actor is an alias of at most {MAX_ACTOR} characters without @.", field="actor")
    return actor


def _confidence(event: Mapping[str, object]) -> float:
    value = event.get("confidence")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refused("invalid_fact", "confidence must be a number from 0 to 1.", field="confidence")
    return float(value)


_encode = msgspec.json.Encoder(order="sorted").encode


def payload_text(payload: Mapping[str, object]) -> str:
    """The payload as JSON, with its fields in one order."""
    return _encode(payload).decode()


def made_key(kind: str, occurred_at: datetime, subject_id: str, payload: str) -> str:
    """The key of an event that names none: the same content has the same key. It begins with the time, so that new
    keys lie beside each other in the index."""
    digest = hashlib.blake2b(f"{kind}\0{subject_id}\0{payload}".encode(), digest_size=12).hexdigest()
    return f"{int(occurred_at.timestamp() * 1000):012x}-{digest}"
