"""Writes fact kinds: each change is a version, and what a field holds never changes its type.

`define` is for programs (packs), the admin and the command line alike. Defining what stands already does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from kpis.facts import registry
from kpis.facts.errors import BadKind
from kpis.facts.schema import KEY_PATTERN, Schema, Type, parse_schema
from kpis.formulas.language import period
from kpis.models import FactKind, FactKindVersion, KindStatus

OCCURRED = "occurred_at"


@dataclass(frozen=True, slots=True)
class Kind:
    """A fact kind as somebody wants it. `fields` is the JSON of kpis/facts/schema.py."""

    key: str
    description: str
    fields: Mapping[str, Mapping[str, object]]
    owner: str
    subject_type: str = ""
    subject_field: str = ""
    time_field: str = OCCURRED
    expected_every: str = ""
    freshness: str = ""
    status: str = KindStatus.ACTIVE.value
    schema: Schema = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raises Invalid for what cannot be."""
        object.__setattr__(self, "schema", parse_schema(self.fields))
        _check(self)

    @property
    def columns(self) -> dict[str, Any]:
        """What of it is stored, in one form."""
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("key", "schema")}
        return {**told, "fields": self.schema.as_json(), "status": str(self.status)}


@transaction.atomic
def define(kind: Kind, *, by: User | None, reason: str, now: datetime) -> FactKind:
    """The kind as it is wanted: new, in its next version, or as it stood. Raises Invalid."""
    row = FactKind.objects.select_for_update().filter(pk=kind.key).first()
    if row is not None and columns_of(row) == kind.columns:
        return row
    check_change(kind)
    changed = FactKind(pk=kind.key, version=row.version + 1 if row else 1, changed_at=now, **kind.columns)
    changed.save(force_insert=row is None)
    _version(changed, kind, by, reason, now).save()
    registry.forget()
    return changed


@transaction.atomic
def define_missing(wanted: Sequence[Kind], *, by: User | None, reason: str, now: datetime) -> list[str]:
    """Those of the kinds that are not there, each in its first version. What is there stays as it is."""
    known = set(FactKind.objects.filter(pk__in=[kind.key for kind in wanted]).values_list("key", flat=True))
    missing = {kind.key: kind for kind in wanted if kind.key not in known}
    if missing:
        rows = [FactKind(pk=kind.key, version=1, changed_at=now, **kind.columns) for kind in missing.values()]
        FactKind.objects.bulk_create(rows)
        FactKindVersion.objects.bulk_create(_version(row, missing[row.key], by, reason, now) for row in rows)
        registry.forget()
    return [*missing]


def _version(row: FactKind, kind: Kind, by: User | None, reason: str, now: datetime) -> FactKindVersion:
    return FactKindVersion(
        kind=row,
        version=row.version,
        snapshot=kind.columns,
        changed_by=by,
        changed_at=now,
        reason=reason[:200] or "Defined",
    )


def check_change(kind: Kind) -> None:
    """Raises Invalid where an earlier version of the kind stands against it."""
    for row in FactKind.objects.filter(pk=kind.key):
        _check_types(row, kind.schema)


def columns_of(row: FactKind) -> dict[str, Any]:
    """What is stored of a kind, to compare."""
    names = [each.name for each in fields(Kind) if each.name not in ("key", "schema")]
    return {**{name: getattr(row, name) for name in names}, "fields": parse_schema(row.fields).as_json()}


def kind_of(row: FactKind) -> Kind:
    """A stored kind, to be changed and defined again."""
    return Kind(key=row.key, **columns_of(row))


def create_missing(now: datetime) -> list[str]:
    """Defines the built-in kinds that are not there. What administrators changed stays as it is."""
    from kpis.facts.standard import EVERY_BUILT_IN

    return define_missing(EVERY_BUILT_IN, by=None, reason="Built in", now=now)


def _check(kind: Kind) -> None:
    if not re.fullmatch(KEY_PATTERN, kind.key) or len(kind.key) > 72:
        raise BadKind(f"{kind.key[:80]!a} is no name of a kind: lower-case words and dots.", field="key")
    if not kind.description.strip() or not kind.owner.strip():
        raise BadKind("A kind has a description of one sentence and an owner.", field="description")
    if kind.status not in KindStatus.values:
        raise BadKind(f"status is one of {', '.join(KindStatus.values)}.", field="status")
    if kind.subject_type and not re.fullmatch("[a-z](_?[a-z0-9])*", kind.subject_type):
        raise BadKind("subject_type is one lower-case word, e.g. service.", field="subject_type")
    _check_fields(kind)
    for name in ("expected_every", "freshness"):
        _check_period(name, getattr(kind, name))


def _check_fields(kind: Kind) -> None:
    if kind.subject_field:
        named = kind.schema.fields.get(kind.subject_field)
        if named is None or named.type not in (Type.STRING, Type.ENUM) or not kind.subject_type:
            raise BadKind("subject_field is a text field of this kind, beside a subject_type.", field="subject_field")
    if kind.time_field != OCCURRED and kind.time_field not in kind.schema.named(Type.TIME):
        raise BadKind("time_field is occurred_at or a time field of this kind.", field="time_field")


def _check_period(name: str, text: str) -> None:
    try:
        period(text) if text else None
    except ValueError as error:
        raise BadKind(str(error), field=name) from None


def _check_types(row: FactKind, wanted: Schema) -> None:
    """A name means one thing in all versions: formulas read old facts by the names of today."""
    was: dict[str, Type] = {}
    for snapshot in row.history.order_by("id").values_list("snapshot", flat=True):
        was |= {name: each.type for name, each in parse_schema(snapshot["fields"]).fields.items()}
    for name, each in wanted.fields.items():
        if name in was and was[name] is not each.type:
            told = f"{name} held {was[name]} in an earlier version. Give the new field another name."
            raise BadKind(told, field="fields")


#: What a decision may carry: kpis/facts/decisions.py. Administrators add fields to it.
DECISION = "decision"
BUILT_IN: tuple[Kind, ...] = (
    Kind(
        key=DECISION,
        description="What a decision may carry beside its scope, action and subject.",
        fields={
            "shop_domain": {"type": "string"},
            "landing_page": {"type": "string"},
            "conversation_id": {"type": "string"},
            "note": {"type": "string"},
        },
        owner="MajorOps",
    ),
)
