"""The fact kinds that are defined, ready to check events and to answer formulas.

Whether anything changed is one look at the newest row of their history. Ingest looks each time; formulas, of which a
page may ask for a hundred, look once a second.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from kpis.facts.admission import Lanes
from kpis.facts.checking import KindRule
from kpis.facts.schema import Schema, parse_schema
from kpis.models import FactKind, FactKindVersion, SubjectType

LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Registry:
    stamp: str
    kinds: Mapping[str, KindRule]
    #: The attributes of each registered type of subject.
    subjects: Mapping[str, Schema]
    lanes: Lanes


_known: Registry | None = None
_looked_at = 0.0


def fresh() -> Registry:
    """The kinds as they stand in the database now."""
    global _known, _looked_at
    newest = FactKindVersion.objects.order_by("-id").values_list("id", flat=True).first() or ""
    if _known is None or _known.stamp != newest:
        _known = _read(newest)
    _looked_at = time.monotonic()
    return _known


def recent() -> Registry:
    """The kinds as they stood at most a second ago."""
    if _known is not None and time.monotonic() - _looked_at < LOOK_EVERY:
        return _known
    return fresh()


def forget() -> None:
    """The next to ask reads anew: something was defined, or a transaction that did is gone."""
    global _known
    _known = None


def _read(stamp: str) -> Registry:
    kinds = {kind.key: rule_of(kind) for kind in FactKind.objects.all()}
    none: frozenset[str] = frozenset()
    subjects = {each.key: parse_schema(each.attributes, reserved=none) for each in SubjectType.objects.all()}
    return Registry(stamp, kinds, subjects, Lanes(kinds))


def rule_of(kind: FactKind) -> KindRule:
    return KindRule(
        key=kind.key,
        version=kind.version,
        status=kind.status,
        schema=parse_schema(kind.fields),
        subject_type=kind.subject_type,
        subject_field=kind.subject_field,
        time_field=kind.time_field,
        expected_every=kind.expected_every,
        freshness=kind.freshness,
    )
