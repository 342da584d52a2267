"""Writes the register of subjects: the sorts of things there are, and each thing with its attributes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from kpis.facts import registry
from kpis.facts.errors import BadKind, UnknownSubject
from kpis.facts.schema import EMAIL, UNSTORABLE, Schema, clean_payload, parse_schema
from kpis.models import OnFirstSight, Subject, SubjectType
from majorops.lib.errors import Invalid

Key = tuple[str, str]
_NO_NAMES: frozenset[str] = frozenset()

#: Sort -> (what it is, its attributes, what happens when a fact names an unknown one). Where a KPI counts the register
#: itself, a mistyped name would be one more thing that never does what it should; so those are entered by hand.
BUILT_IN: Mapping[str, tuple[str, Mapping[str, Mapping[str, object]], OnFirstSight]] = {
    "shop": ("A shop that operators look after.", {}, OnFirstSight.CREATE),
    "service": ("A service that runs.", {"tier": {"type": "string"}}, OnFirstSight.CREATE),
    "repo": ("A repository of code.", {"archived": {"type": "bool"}}, OnFirstSight.CREATE),
    "customer": ("A customer.", {"tier": {"type": "string"}}, OnFirstSight.CREATE),
    "team": ("A team that builds.", {}, OnFirstSight.CREATE),
    "credential": (
        "A key, token or password, and how many days it may be old.",
        {"policy_days": {"type": "int"}, "credential_type": {"type": "string"}},
        OnFirstSight.REFUSE,
    ),
    "resource": (
        "Something that is rented or run, and whether it is written down as code.",
        {"provider": {"type": "string"}, "iac": {"type": "bool"}},
        OnFirstSight.REFUSE,
    ),
}


@transaction.atomic
def declare(
    key: str, *, description: str, attributes: Mapping[str, Mapping[str, object]], on_first_sight: OnFirstSight
) -> SubjectType:
    """A sort of things with typed attributes. An attribute has one type in every sort. Raises Invalid."""
    schema = check_sort(key, attributes)
    row, _ = SubjectType.objects.update_or_create(
        pk=key,
        defaults={"description": description, "attributes": schema.as_json(), "on_first_sight": on_first_sight},
    )
    registry.forget()
    return row


def check_sort(key: str, attributes: object) -> Schema:
    """The attributes that a sort may have. Raises Invalid."""
    if not re.fullmatch("[a-z](_?[a-z0-9])*", key):
        raise BadKind("A sort of subjects is one lower-case word, e.g. service.", field="key")
    schema = parse_schema(attributes, reserved=_NO_NAMES)
    for other in SubjectType.objects.exclude(pk=key):
        for name, field in parse_schema(other.attributes, reserved=_NO_NAMES).fields.items():
            if name in schema.fields and schema.fields[name].type is not field.type:
                raise BadKind(
                    f"{name} holds {field.type} in {other.key}; it has one type everywhere.", field="attributes"
                )
    return schema


def declare_missing() -> list[str]:
    """The built-in sorts that are not there."""
    known = set(SubjectType.objects.values_list("key", flat=True))
    missing = [key for key in BUILT_IN if key not in known]
    for key in missing:
        description, attributes, on_first_sight = BUILT_IN[key]
        declare(key, description=description, attributes=attributes, on_first_sight=on_first_sight)
    return missing


@transaction.atomic
def register(
    type: str,
    key: str,
    *,
    attributes: Mapping[str, object] | None = None,
    name: str = "",
    is_active: bool = True,
    now: datetime,
) -> Subject:
    """A thing of a declared sort, with its attributes; what is registered already is changed. Raises Invalid."""
    sort = _sort(type)
    check_key(key)
    cleaned = clean_attributes(sort, attributes or {})
    row, _ = Subject.objects.update_or_create(
        type=sort,
        key=key,
        defaults={"attributes": cleaned, "name": name, "is_active": is_active},
        create_defaults={"attributes": cleaned, "name": name, "is_active": is_active, "first_seen_at": now},
    )
    return row


@dataclass(frozen=True, slots=True)
class Thing:
    """One to be registered."""

    key: str
    name: str
    attributes: Mapping[str, object]


@transaction.atomic
def register_missing(type: str, things: Sequence[Thing], *, now: datetime) -> list[str]:
    """The keys of those things of a declared sort that were not there. Raises Invalid."""
    known = _known(type, {thing.key for thing in things})
    missing = {thing.key: thing for thing in things if thing.key not in known}
    if missing:
        sort = _sort(type)
        Subject.objects.bulk_create(_row(sort, thing, now) for thing in missing.values())
    return [*missing]


def _row(sort: SubjectType, thing: Thing, now: datetime) -> Subject:
    check_key(thing.key)
    attributes = clean_attributes(sort, thing.attributes)
    return Subject(type=sort, key=thing.key, name=thing.name, attributes=attributes, first_seen_at=now)


def _sort(type: str) -> SubjectType:
    found = SubjectType.objects.filter(pk=type).first()
    if found is None:
        raise UnknownSubject(f"There is no sort of subject {type!a}. Declare it first.", field="type")
    return found


def check_key(key: str) -> None:
    if not 0 < len(key) <= 120 or UNSTORABLE.search(key) or EMAIL.fullmatch(key):
        raise Invalid("The id has 1 to 120 characters and is no e-mail address.", field="key")


def clean_attributes(sort: SubjectType, attributes: Mapping[str, object]) -> dict[str, object]:
    """The attributes as they are stored. Raises Invalid."""
    try:
        return clean_payload(attributes, parse_schema(sort.attributes, reserved=_NO_NAMES), str)
    except Invalid as error:
        raise Invalid(error.message.replace("payload.", ""), field="attributes") from None


def see(named: Iterable[Key], now: datetime) -> set[Key]:
    """Registers what facts name for the first time, and gives back what must be registered by hand."""
    by_type: dict[str, set[str]] = defaultdict(set)
    for type, key in named:
        by_type[type].add(key)
    refused: set[Key] = set()
    for sort in SubjectType.objects.filter(pk__in=by_type).order_by("key") if by_type else ():
        missing = by_type[sort.key] - _known(sort.key, by_type[sort.key])
        if sort.on_first_sight == OnFirstSight.REFUSE:
            refused |= {(sort.key, key) for key in missing}
        else:
            rows = [Subject(type=sort, key=key, first_seen_at=now) for key in sorted(missing)]
            Subject.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return refused


def _known(type: str, keys: set[str]) -> set[str]:
    chosen, known = sorted(keys), set[str]()
    for at in range(0, len(chosen), 500):
        rows = Subject.objects.filter(type=type, key__in=chosen[at : at + 500])
        known.update(rows.values_list("key", flat=True))
    return known
