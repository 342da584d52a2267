"""Facts, decisions and subjects as rows that formulas read, and the names that formulas may use of them.

    fact:deployed        the facts of one kind
    fact:incident.*      those of all kinds below `incident.`; a field is there if its type is the same in all
    decisions            the decision log, with the fields of the kind `decision`
    subjects             the register; attributes as `attrs.policy_days` or just `policy_days`

A payload was checked when it came in, so a value has the type that its kind declares; times are read back as times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from incidents.models import Incident
from kpis.facts import registry
from kpis.facts.checking import KindRule
from kpis.facts.kinds import DECISION
from kpis.facts.schema import Type
from kpis.formulas import FieldType, SourceShape
from kpis.formulas.language import period
from kpis.models import Decision, Fact, Subject

PREFIX = "fact:"
SUBJECTS, DECISIONS = "subjects", "decisions"
Row = Mapping[str, object]
_INCIDENT = "incident"
_DECIDED: Mapping[str, FieldType] = {
    "id": FieldType.ID,
    "scope": FieldType.TEXT,
    "action": FieldType.TEXT,
    "subject_type": FieldType.TEXT,
    "subject_id": FieldType.ID,
    "actor": FieldType.TEXT,
    "source": FieldType.TEXT,
    "decided_at": FieldType.TIME,
    "received_at": FieldType.TIME,
}


class Scope(Protocol):
    """What of a scope (kpis/sources.py) matters here."""

    @property
    def incident_id(self) -> str | None: ...
    @property
    def with_restricted(self) -> bool: ...
    @property
    def user_id(self) -> str | None: ...


# --- Names ---


def names() -> list[str]:
    """Every source of this kind that a formula may name, but for prefixes."""
    return [DECISIONS, SUBJECTS, *(f"{PREFIX}{key}" for key in sorted(registry.recent().kinds))]


def shape_of(name: str) -> SourceShape | None:
    """What a formula may say of the source; None if it is not one of these. A kind defined just now is found."""
    if name == SUBJECTS:
        return _subjects_shape()
    if name == DECISIONS:
        return _decisions_shape()
    if not name.startswith(PREFIX):
        return None
    kinds = _kinds_of(name, registry.recent()) or _kinds_of(name, registry.fresh())
    return _facts_shape(name, kinds) if kinds else None


def _kinds_of(name: str, known: registry.Registry) -> list[KindRule]:
    """The kinds that the source is about. A draft takes no facts yet, but a formula may be written for it."""
    key = name.removeprefix(PREFIX)
    if not key.endswith(".*"):
        return [known.kinds[key]] if key in known.kinds else []
    return [rule for each, rule in sorted(known.kinds.items()) if each.startswith(key[:-1])]


def _facts_shape(name: str, kinds: Sequence[KindRule]) -> SourceShape:
    fields = dict(kinds[0].fields)
    for rule in kinds[1:]:
        fields = {**rule.fields, **fields}
    for rule in kinds:
        fields = {name: type for name, type in fields.items() if rule.fields.get(name, type) is type}
    subjects = {rule.subject_type for rule in kinds}
    return _shape(name, fields, subjects.pop() if len(subjects) == 1 else "")


def _decisions_shape() -> SourceShape:
    rule = registry.recent().kinds.get(DECISION)
    return _shape(DECISIONS, {**(rule.schema.shape if rule else {}), **_DECIDED}, "")


def _subjects_shape() -> SourceShape:
    fields = {"id": FieldType.ID, "type": FieldType.TEXT, "name": FieldType.TEXT, "active": FieldType.BOOLEAN}
    attributes = {name: type for each in registry.recent().subjects.values() for name, type in each.shape.items()}
    named = {f"attrs.{name}": type for name, type in attributes.items()}
    return SourceShape(SUBJECTS, {**attributes, **named, **fields}, ())


def _shape(name: str, fields: Mapping[str, FieldType], subject: str) -> SourceShape:
    times = tuple(field for field, type in fields.items() if type is FieldType.TIME)
    return SourceShape(name, fields, times, subject or None)


def expected_every(name: str) -> timedelta | None:
    """How often a fact should come. A figure is stale at twice that age, so a stated freshness counts half."""
    found = [
        period(rule.freshness) / 2 if rule.freshness else period(rule.expected_every)
        for rule in (_kinds_of(name, registry.recent()) if name.startswith(PREFIX) else ())
        if rule.freshness or rule.expected_every
    ]
    return min(found, default=None)


# --- Rows ---


def load(name: str, scope: Scope) -> Iterator[Row]:
    """The rows of the source, as they stand: a corrected fact has been replaced by its correction."""
    if scope.user_id is not None:  # facts name no users, only aliases
        return iter(())
    if name == SUBJECTS:
        return _subjects()
    if name == DECISIONS:
        return _decisions(scope)
    return (row for rule in _kinds_of(name, registry.recent()) for row in _facts(rule, scope))


def _facts(rule: KindRule, scope: Scope) -> Iterator[Row]:
    rows = Fact.objects.standing().filter(kind=rule.key).order_by("occurred_at", "id")
    hidden: set[str] = set()
    if rule.subject_type == _INCIDENT:
        hidden = _restricted(scope)
    if scope.incident_id is not None:
        if rule.subject_type != _INCIDENT:
            return
        rows = rows.filter(subject_id=scope.incident_id)
    read = _Reader(rule)
    columns = ("id", "occurred_at", "received_at", "subject_type", "subject_id", "payload", "actor", "source",
               "request_id", "confidence")  # fmt: skip
    for values in rows.values_list(*columns).iterator(chunk_size=5000):
        if values[4] not in hidden:
            yield read.row(values)


class _Reader:
    """Makes rows of the columns of one kind's facts."""

    def __init__(self, rule: KindRule) -> None:
        self.kind = rule.key
        self.times = rule.schema.named(Type.TIME)
        #: A field that is not in a payload is empty.
        self.empty = dict.fromkeys(rule.schema.shape)
        self.is_of_incident = rule.subject_type == _INCIDENT

    def row(self, values: Sequence[Any]) -> Row:
        pk, occurred_at, received_at, type, subject, payload, actor, source, request_id, confidence = values
        row = {**self.empty, **payload}
        for name in self.times:
            if row[name] is not None:
                row[name] = datetime.fromisoformat(str(row[name]))
        ref = f"fact:{pk}"
        return row | {
            "id": pk,
            "kind": self.kind,
            "occurred_at": occurred_at,
            "received_at": received_at,
            "subject_type": type,
            "subject_id": subject,
            "actor": actor,
            "source": source,
            "request_id": request_id,
            "ref": ref,
            "subject_key": f"{type}:{subject}" if subject else ref,
            "incident_id": subject if self.is_of_incident else None,
            "subject_open": False,
            "subject_closed_at": occurred_at,
            "confidence": confidence,
        }


def _restricted(scope: Scope) -> set[str]:
    """The incidents whose facts are in no rollup."""
    if scope.with_restricted or scope.incident_id is not None:
        return set()
    return set(Incident.objects.filter(restricted=True).values_list("pk", flat=True))


def _decisions(scope: Scope) -> Iterator[Row]:
    rows = Decision.objects.order_by("decided_at", "id")
    if scope.incident_id is not None:
        rows = rows.filter(subject_type=_INCIDENT, subject_id=scope.incident_id)
    hidden = _restricted(scope)
    rule = registry.recent().kinds.get(DECISION)
    empty = dict.fromkeys(rule.schema.shape) if rule else {}
    times = rule.schema.named(Type.TIME) if rule else ()
    for each in rows.iterator(chunk_size=5000):
        if each.subject_type == _INCIDENT and each.subject_id in hidden:
            continue
        row: dict[str, object] = {**empty, **each.payload, **{name: getattr(each, name) for name in _DECIDED}}
        for name in times:
            row[name] = datetime.fromisoformat(str(row[name])) if row[name] is not None else None
        key = f"{each.subject_type}:{each.subject_id}" if each.subject_id else f"decision:{each.pk}"
        yield row | {
            "ref": f"decision:{each.pk}",
            "subject_key": key,
            "incident_id": each.subject_id if each.subject_type == _INCIDENT else None,
            "subject_open": False,
            "subject_closed_at": each.decided_at,
            "confidence": 1.0,
        }


def _subjects() -> Iterator[Row]:
    sorts = registry.recent().subjects
    empty: dict[str, object] = {name: None for each in sorts.values() for name in each.shape}
    for type, key, name, active, attributes in Subject.objects.order_by("type", "key").values_list(
        "type_id", "key", "name", "is_active", "attributes"
    ):
        held = {**empty, **attributes}
        for each in sorts[type].named(Type.TIME) if type in sorts else ():
            held[each] = datetime.fromisoformat(str(held[each])) if held[each] is not None else None
        yield {
            **held,
            **{f"attrs.{name}": value for name, value in held.items()},
            "id": key,
            "type": type,
            "name": name,
            "active": active,
            "ref": f"subject:{type}:{key}",
            "subject_key": f"{type}:{key}",
            "incident_id": None,
            "subject_open": False,
            "subject_closed_at": None,
            "confidence": 1.0,
        }
