"""Puts a pack into the database, through the writers that everything else goes through. All of it, or nothing.

What is there already stays as it is: a difference is told, never mended. Undone it is by retiring its KPIs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum

from django.db import transaction

from kpis.actions import Edit, Editor, bring_back, create, publish, retire
from kpis.claims import Claim, record_claim
from kpis.differences import FieldChange, differences
from kpis.exchange import document, document_of
from kpis.facts import kinds, subjects
from kpis.facts.kinds import Kind
from kpis.models import (
    DefinitionStatus,
    FactKind,
    KpiDefinition,
    ObservationSource,
    OnFirstSight,
    PackInstall,
    Subject,
    SubjectType,
)
from kpis.packs.files import Entry, Pack, Printed
from majorops.lib.errors import DomainError, Invalid

#: A printed figure is trusted like any claim that nobody stands behind.
PRINTED = 0.4


class NotInstalled(DomainError):
    """This pack is not installed. Install it with: mim pack install"""

    code = "pack_not_installed"


class State(StrEnum):
    NEW = "new"
    SAME = "same"
    DIFFERS = "differs"
    RETIRED = "retired"
    BACK = "brought back"


@dataclass(frozen=True, slots=True)
class Done:
    """What stands in the database of one thing that the pack has."""

    #: kind | kpi | sort | subject | claim
    what: str
    key: str
    state: State
    changes: tuple[FieldChange, ...] = ()


def in_force(pack: Pack) -> PackInstall | None:
    return PackInstall.objects.filter(pack=pack.slug, retired_at=None).first()


@transaction.atomic
def install(pack: Pack, editor: Editor, *, start: date | None = None, with_claims: bool = False) -> list[Done]:
    """Everything of the pack, and what became of it. `start` is the first day of the programme: today by default, and
    the stored day for a pack that is installed. Raises Invalid."""
    stored = in_force(pack)
    if stored is not None and start not in (None, stored.started_on):
        raise Invalid(
            f"The programme of {pack.slug} began on {stored.started_on}; its due dates are targets now. "
            "Change those in the admin, or retire the pack first.",
            field="start",
        )
    came_back = _bring_back(pack, editor) if stored is None else set[str]()
    began = stored.started_on if stored else start or editor.now.date()
    if stored is None:
        PackInstall.objects.create(
            pack=pack.slug, started_on=began, installed_at=editor.now, installed_by=editor.person
        )
    done = [*(_kind(kind, editor) for kind in pack.kinds), *_registered(pack, editor)]
    done += [_definition(entry, began, editor, pack, came_back) for entry in pack.in_order]
    return [*done, *(_claim(each, editor) for each in (pack.printed if with_claims else ()))]


def compare(pack: Pack, *, now: datetime) -> list[Done]:
    """The same of kinds and definitions, without writing anything."""
    stored = in_force(pack)
    began = stored.started_on if stored else now.date()
    kept = {row.slug: row for row in _stored(pack)}
    found = [_standing_kind(kind) for kind in pack.kinds]
    return [*found, *(_standing(entry, began, kept.get(entry.slug)) for entry in pack.in_order)]


@transaction.atomic
def remove(pack: Pack, editor: Editor, *, reason: str) -> list[str]:
    """Retires every KPI of the pack: what is stored stays, nothing new is computed. Raises NotInstalled."""
    stored = in_force(pack)
    if stored is None:
        raise NotInstalled
    stored.retired_at = editor.now
    stored.save(update_fields=["retired_at"])
    return [row.slug for row in _stored(pack) if retire(row, editor, reason=reason)]


def _stored(pack: Pack) -> Iterator[KpiDefinition]:
    slugs = [entry.slug for entry in pack.entries]
    yield from KpiDefinition.objects.filter(slug__in=slugs).prefetch_related("targets").order_by("slug")


def _bring_back(pack: Pack, editor: Editor) -> set[str]:
    """Of a pack that was retired as a whole: its KPIs run again."""
    if not PackInstall.objects.filter(pack=pack.slug).exists():
        return set()
    reason = f"Pack {pack.slug} installed again"
    return {row.slug for row in _stored(pack) if bring_back(row, editor, reason=reason)}


# --- Kinds and subjects ---


def _standing_kind(kind: Kind) -> Done:
    row = FactKind.objects.filter(pk=kind.key).first()
    if row is None:
        return Done("kind", kind.key, State.NEW)
    changes = tuple(differences(kinds.columns_of(row), kind.columns))
    return Done("kind", kind.key, State.DIFFERS if changes else State.SAME, changes)


def _kind(kind: Kind, editor: Editor) -> Done:
    found = _standing_kind(kind)
    if found.state is State.NEW:
        kinds.define(kind, by=editor.person, reason="Came with a pack", now=editor.now)
    return found


def _registered(pack: Pack, editor: Editor) -> Iterator[Done]:
    """The things that checklists are made of."""
    for key, told in pack.sorts.items():
        if not SubjectType.objects.filter(pk=key).exists():
            subjects.declare(
                key,
                description=told["description"],
                attributes=told["attributes"],
                on_first_sight=OnFirstSight.REFUSE,
            )
            yield Done("sort", key, State.NEW)
    for listed in pack.checklists:
        known = set(Subject.objects.filter(type=listed.type).values_list("key", flat=True))
        for key, name in listed.items.items():
            if key not in known:
                subjects.register(listed.type, key, attributes=listed.attributes, name=name, now=editor.now)
                yield Done("subject", key, State.NEW)


# --- Definitions ---


def _standing(entry: Entry, start: date, row: KpiDefinition | None) -> Done:
    if row is None:
        return Done("kpi", entry.slug, State.NEW)
    if row.status == DefinitionStatus.RETIRED:
        return Done("kpi", entry.slug, State.RETIRED)
    wanted = document_as_told(entry, start)
    changes = tuple(differences(document_of(row).content(), wanted))
    return Done("kpi", entry.slug, State.DIFFERS if changes else State.SAME, changes)


def document_as_told(entry: Entry, start: date) -> dict[str, object]:
    """The definition of the files in the form of a stored one."""
    return document(entry.definition(start)).content()


def _definition(entry: Entry, start: date, editor: Editor, pack: Pack, came_back: set[str]) -> Done:
    row = KpiDefinition.objects.prefetch_related("targets").filter(pk=entry.slug).first()
    if row is not None:
        found = _standing(entry, start, row)
        is_back = entry.slug in came_back and found.state is State.SAME
        return Done("kpi", entry.slug, State.BACK) if is_back else found
    made = document(entry.definition(start))
    reason = f"Pack {pack.slug}"
    create(made.slug, Edit(made.described, made.running, made.targets), editor, reason=reason)
    publish(KpiDefinition.objects.get(pk=made.slug), editor, reason=reason)
    return Done("kpi", entry.slug, State.NEW)


# --- Printed figures ---


def _claim(told: Printed, editor: Editor) -> Done:
    definition = KpiDefinition.objects.get(pk=told.kpi)
    if definition.status == DefinitionStatus.RETIRED:
        return Done("claim", told.kpi, State.RETIRED)
    claim = Claim(
        value=told.value,
        timestamp=datetime.combine(told.on, time(), UTC),
        source=ObservationSource.IMPORT,
        confidence=PRINTED,
        metadata={"printed": told.printed, "contradiction": told.contradiction},
        contradiction=told.contradiction,
    )
    _, became = record_claim(definition, None, claim, now=editor.now)
    return Done("claim", told.kpi, State.SAME if became == "same" else State.NEW)
