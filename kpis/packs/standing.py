"""What stands in the database of all that a pack has: new, the same, or how it differs and who changed it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from django.db.models import Q

from kpis.definitions import as_it_stands
from kpis.differences import FieldChange, differences
from kpis.exchange import document_of, said
from kpis.facts import kinds
from kpis.facts.kinds import Kind
from kpis.models import (
    DefinitionStatus,
    FactKind,
    FactKindVersion,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiDraft,
    PackInstall,
)
from kpis.packs.files import Entry, Pack

#: The reason of what a pack wrote; further words may follow after a colon. By it we know what nobody changed here.
KIND_CAME = "Came with a pack"


class State(StrEnum):
    NEW = "new"
    SAME = "same"
    #: The files say something else by now, and nobody changed it here.
    OUTDATED = "outdated"
    #: Somebody changed it here.
    DIFFERS = "differs"
    RETIRED = "retired"
    BACK = "brought back"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Done:
    """What stands in the database of one thing that the pack has."""

    #: kind | kpi | sort | subject | claim
    what: str
    key: str
    state: State
    changes: tuple[FieldChange, ...] = ()


def kpi_came(pack: Pack) -> str:
    return f"Pack {pack.slug}"


def in_force(pack: Pack) -> PackInstall | None:
    return PackInstall.objects.filter(pack=pack.slug, retired_at=None).first()


def compare(pack: Pack, *, now: datetime) -> list[Done]:
    """Every kind and definition of the pack beside what is stored. Nothing is written."""
    stored = in_force(pack)
    return [*kinds_beside(pack), *definitions_beside(pack, stored.started_on if stored else now.date())]


def definitions_stored(pack: Pack) -> dict[str, KpiDefinition]:
    slugs = [entry.slug for entry in pack.entries]
    rows = KpiDefinition.objects.filter(slug__in=slugs).prefetch_related("targets").order_by("slug")
    return {row.slug: row for row in rows}


# --- Kinds ---


def kinds_beside(pack: Pack) -> Iterator[Done]:
    rows = FactKind.objects.in_bulk([kind.key for kind in pack.kinds])
    changed = {kind.key: _changes_of(kind, rows[kind.key]) for kind in pack.kinds if kind.key in rows}
    untouched = _untouched_kinds([key for key, changes in changed.items() if changes])
    for kind in pack.kinds:
        if kind.key not in rows:
            yield Done("kind", kind.key, State.NEW)
        else:
            yield _beside("kind", kind.key, changed[kind.key], untouched)


def _changes_of(kind: Kind, row: FactKind) -> tuple[FieldChange, ...]:
    return tuple(differences(kinds.columns_of(row), kind.columns))


def _untouched_kinds(keys: Collection[str]) -> set[str]:
    """Those whose newest version a pack wrote."""
    rows = FactKindVersion.objects.filter(kind__in=keys).order_by("id") if keys else ()
    newest = {row.kind_id: row.reason for row in rows}
    return {key for key, reason in newest.items() if reason.partition(":")[0] == KIND_CAME}


def _beside(what: str, key: str, changes: tuple[FieldChange, ...], untouched: Collection[str]) -> Done:
    state = State.SAME if not changes else State.OUTDATED if key in untouched else State.DIFFERS
    return Done(what, key, state, changes)


# --- Definitions ---


def definitions_beside(pack: Pack, start: date) -> Iterator[Done]:
    """In the order of installing, for a programme that begins on that day."""
    rows = definitions_stored(pack)
    changed = {entry.slug: _changes(entry, start, rows[entry.slug]) for entry in pack.entries if entry.slug in rows}
    untouched = _untouched(pack, (rows[slug] for slug, changes in changed.items() if changes))
    for entry in pack.in_order:
        row = rows.get(entry.slug)
        if row is None:
            yield Done("kpi", entry.slug, State.NEW)
        elif row.status == DefinitionStatus.RETIRED:
            yield Done("kpi", entry.slug, State.RETIRED)
        else:
            yield _beside("kpi", entry.slug, changed[entry.slug], untouched)


def _changes(entry: Entry, start: date, row: KpiDefinition) -> tuple[FieldChange, ...]:
    return tuple(differences(document_of(row).content(), said(entry.definition(start)).content()))


def _untouched(pack: Pack, rows: Iterable[KpiDefinition]) -> set[str]:
    """Those that stand as the pack wrote them last, without a draft."""
    stored = {row.slug: row for row in rows}
    if not stored:
        return set()
    came = kpi_came(pack)
    versions = KpiDefinitionVersion.objects.filter(Q(reason=came) | Q(reason__startswith=f"{came}: "))
    written = {each.definition_id: each for each in versions.filter(definition__in=stored).order_by("version", "minor")}
    drafts = set(KpiDraft.objects.filter(pk__in=stored).values_list("pk", flat=True))
    return {
        slug
        for slug, version in written.items()
        if slug not in drafts and _said(as_it_stands(stored[slug])) == _said(_columns(version))
    }


def _columns(version: KpiDefinitionVersion) -> dict[str, object]:
    return {name: getattr(version, name) for name in ("formula", "spec", "units", "snapshot")}


def _said(stands: Mapping[str, object]) -> dict[str, object]:
    """What a definition says; whether it runs is another matter."""
    snapshot = stands["snapshot"]
    said_of = (
        {name: value for name, value in snapshot.items() if name != "status"} if isinstance(snapshot, dict) else {}
    )
    return {**stands, "snapshot": said_of}
