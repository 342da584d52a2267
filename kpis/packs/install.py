"""Puts a pack into the database, through the writers that everything else goes through. All of it, or nothing.

Installing only adds: what is there already stays as it is, and a difference is told. `update` takes differences over,
as new versions with a reason. Undone a pack is by retiring its KPIs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time

from django.db import transaction

from kpis.actions import Edit, Editor, bring_back, create_in_force, publish, retire, save
from kpis.claims import Claim, record_claim
from kpis.exchange import said
from kpis.facts import kinds, subjects
from kpis.facts.subjects import Thing
from kpis.models import DefinitionStatus, KpiDefinition, ObservationSource, OnFirstSight, PackInstall, SubjectType
from kpis.packs.files import Entry, Pack, Printed
from kpis.packs.standing import (
    KIND_CAME,
    Done,
    State,
    compare,
    definitions_beside,
    definitions_stored,
    in_force,
    kinds_beside,
    kpi_came,
)
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import clean_text

#: A printed figure is trusted like any claim that nobody stands behind.
PRINTED = 0.4


class NotInstalled(DomainError):
    """This pack is not installed. Install it with: mim pack install"""

    code = "pack_not_installed"


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
    done = [*_kinds(pack, editor), *_registered(pack, editor), *_definitions(pack, began, editor, came_back)]
    return [*done, *(_claim(each, editor) for each in (pack.printed if with_claims else ()))]


@transaction.atomic
def update(pack: Pack, editor: Editor, *, reason: str, only: Collection[str] = ()) -> list[Done]:
    """What the files say by now becomes a new version of each KPI and kind that nobody changed here. `only` names those
    to take over alone, changed here or not. What is new in the files is installed. Raises NotInstalled, Invalid."""
    stored, reason = in_force(pack), clean_text(reason, field="reason", max_length=200, required=True)
    if stored is None:
        raise NotInstalled
    chosen = _chosen(compare(pack, now=editor.now), only)
    for kind in pack.kinds:
        if ("kind", kind.key) in chosen:
            kinds.define(kind, by=editor.person, reason=f"{KIND_CAME}: {reason}", now=editor.now)
    done = install(pack, editor)
    for entry in pack.in_order:
        if ("kpi", entry.slug) in chosen:
            _take_over(entry, stored.started_on, editor, f"{kpi_came(pack)}: {reason}")
    return [chosen.get((each.what, each.key), each) for each in done]


@transaction.atomic
def remove(pack: Pack, editor: Editor, *, reason: str) -> list[str]:
    """Retires every KPI of the pack: what is stored stays, nothing new is computed. Raises NotInstalled."""
    stored = in_force(pack)
    if stored is None:
        raise NotInstalled
    stored.retired_at = editor.now
    stored.save(update_fields=["retired_at"])
    return [slug for slug, row in definitions_stored(pack).items() if retire(row, editor, reason=reason)]


def _bring_back(pack: Pack, editor: Editor) -> set[str]:
    """Of a pack that was retired as a whole: its KPIs run again."""
    if not PackInstall.objects.filter(pack=pack.slug).exists():
        return set()
    reason = f"Pack {pack.slug} installed again"
    return {slug for slug, row in definitions_stored(pack).items() if bring_back(row, editor, reason=reason)}


# --- Kinds and subjects ---


def _kinds(pack: Pack, editor: Editor) -> list[Done]:
    found = list(kinds_beside(pack))
    kinds.define_missing(pack.kinds, by=editor.person, reason=KIND_CAME, now=editor.now)
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
    for sort, things in _things(pack).items():
        yield from (Done("subject", key, State.NEW) for key in subjects.register_missing(sort, things, now=editor.now))


def _things(pack: Pack) -> dict[str, list[Thing]]:
    """What its checklists list, by sort."""
    found: dict[str, list[Thing]] = defaultdict(list)
    for listed in pack.checklists:
        found[listed.type] += [Thing(key, name, listed.attributes) for key, name in listed.items.items()]
    return found


# --- Definitions ---


def _definitions(pack: Pack, start: date, editor: Editor, came_back: Collection[str]) -> list[Done]:
    found = list(definitions_beside(pack, start))
    new = {done.key for done in found if done.state is State.NEW}
    edits = {entry.slug: _edit(entry, start) for entry in pack.in_order if entry.slug in new}
    if edits:
        create_in_force(edits, editor, reason=kpi_came(pack))
    is_back = {done.key for done in found if done.key in came_back and done.state is State.SAME}
    return [replace(done, state=State.BACK) if done.key in is_back else done for done in found]


def _edit(entry: Entry, start: date) -> Edit:
    made = said(entry.definition(start))
    return Edit(made.described, made.running, made.targets)


def _chosen(found: list[Done], only: Collection[str]) -> dict[tuple[str, str], Done]:
    """What is to be taken over, by what it is and its key. Raises Invalid for a name that is not of the pack."""
    if strange := sorted({*only} - {done.key for done in found}):
        raise Invalid(f"{strange[0]!a} is no KPI and no kind of this pack. Look with: mim pack diff", field="only")
    is_chosen = {State.OUTDATED, State.DIFFERS} if only else {State.OUTDATED}
    return {
        (done.what, done.key): replace(done, state=State.UPDATED)
        for done in found
        if done.state in is_chosen and (not only or done.key in only)
    }


def _take_over(entry: Entry, start: date, editor: Editor, reason: str) -> None:
    row = KpiDefinition.objects.get(pk=entry.slug)
    try:
        if save(row, _edit(entry, start), editor, reason=reason).draft is not None:
            publish(row, editor, reason=reason)
    except Invalid as error:
        raise Invalid(f"{entry.slug}: {error.message} Nothing was updated.", field=error.field) from None


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
