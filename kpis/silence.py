"""Which sources of figures never spoke: what nobody ever told of is proposed, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from kpis.formulas import references_in
from kpis.models import Decision, Fact, FactKind, KpiDefinition, Subject

FACT = "fact:"
#: Sources beside facts that somebody has to fill first.
OTHERS = ("decisions", "subjects")


def sources_in(spec: object) -> set[str]:
    """The sources that a formula reads itself, e.g. fact:deployed, decisions."""
    if isinstance(spec, Mapping):
        own = {spec["source"]} if isinstance(spec.get("source"), str) else set()
        return own.union(*map(sources_in, spec.values()))
    return set[str]().union(*map(sources_in, spec)) if isinstance(spec, list | tuple) else set()


def asked_by(spec: object, known: Mapping[str, KpiDefinition]) -> set[str]:
    """What the formula, and what it is made of, reads of sources that may never have spoken."""
    asked = {name for name in sources_in(spec) if name.startswith(FACT) or name in OTHERS}
    parts = (known[slug].spec for slug in references_in(spec) if slug in known)
    return asked.union(*(asked_by(part, known) for part in parts))


def is_stated(spec: object) -> bool:
    """Whether the KPI is only ever stated by people."""
    calc = spec.get("calc") if isinstance(spec, Mapping) else None
    return isinstance(calc, Mapping) and calc.get("kind") == "reported"


@dataclass(frozen=True, slots=True)
class Silence:
    """Which sources have had a row, ever."""

    kinds: frozenset[str]
    others: frozenset[str]

    @classmethod
    def read(cls) -> Silence:
        told, decided, registered = (
            Exists(each)
            for each in (Fact.objects.filter(kind=OuterRef("pk")), Decision.objects.all(), Subject.objects.all())
        )
        rows = list(FactKind.objects.order_by().values_list("key", told, decided, registered))
        heard = frozenset(key for key, is_heard, _, _ in rows if is_heard)
        _, _, has_decisions, has_subjects = rows[0] if rows else ("", False, False, False)
        has_rows = zip(OTHERS, (has_decisions, has_subjects), strict=True)
        return cls(heard, frozenset(name for name, is_filled in has_rows if is_filled))

    def of(self, spec: object, known: Mapping[str, KpiDefinition]) -> tuple[str, ...]:
        """The sources of the formula, and of what it is made of, that never spoke."""
        return tuple(sorted(name.removeprefix(FACT) for name in asked_by(spec, known) if self._is_silent(name)))

    def _is_silent(self, name: str) -> bool:
        if name in OTHERS:
            return name not in self.others
        key = name.removeprefix(FACT)
        if key.endswith(".*"):
            return not any(kind.startswith(key[:-1]) for kind in self.kinds)
        return key not in self.kinds
