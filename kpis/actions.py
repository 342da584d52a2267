"""Changes KPI definitions. The only module that does, for admin, command line and import alike.

What decides the numbers (formula, spec, units) is saved as a draft and runs once it is published; the rest takes
effect when it is saved. Either leaves a version, and every change an entry in the audit trail.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from kpis.definitions import (
    DESCRIPTIVE,
    RUNNING,
    add,
    audience_of,
    check_spec,
    kpi_shapes,
    save_version,
    shape_of,
    targets_of,
)
from kpis.errors import EditedMeanwhile, NothingToPublish, SlugTaken
from kpis.formulas import KpiShape
from kpis.models import (
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiDraft,
    KpiReview,
    KpiTarget,
)
from kpis.targets import Stated, check, rendered, stated
from majorops.lib.errors import Invalid
from majorops.lib.text import clean_text

#: What `save` may be told; the status moves by publishing and retiring only.
DESCRIBED = tuple(name for name in DESCRIPTIVE if name != "status")


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes something, and when; `request` for the way it came in."""

    person: User | None
    now: datetime
    request: HttpRequest | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What decides the numbers."""

    formula: str
    spec: object
    units: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A definition as it should stand. What is None stays as it is."""

    described: Mapping[str, object] = field(default_factory=dict)
    running: Running | None = None
    targets: Sequence[Stated] | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save did: the version of what took effect, and whether there is a draft to publish."""

    version: KpiDefinitionVersion | None
    draft: KpiDraft | None
    is_new_draft: bool = False

    @property
    def changed(self) -> bool:
        return self.version is not None or self.is_new_draft


@dataclass(frozen=True, slots=True)
class Published:
    version: KpiDefinitionVersion | None
    #: Current observations of an earlier version, by its number.
    outdated: Mapping[int, int]

    def in_words(self, definition: KpiDefinition) -> str:
        number = self.version.number if self.version else definition.current_version
        told = [f"Published v{number} of {definition.slug}."]
        for version, count in self.outdated.items():
            told.append(f"{count} observation{' is' if count == 1 else 's are'} of v{version}:")
        if self.outdated:
            told.append(f"recompute with mim kpi backfill --kpi {definition.slug}")
        return " ".join(told)


# --- What runs, and the draft of it ---


#: What a formula may be made of; by default all that is stored. An import knows its other definitions too.
Kpis = Mapping[str, KpiShape] | None


def running_of(row: KpiDefinition | KpiDraft | KpiDefinitionVersion) -> Running:
    return Running(row.formula, row.spec, row.units)


def draft_of(definition: KpiDefinition) -> KpiDraft | None:
    """The draft that waits to be published, if there is one."""
    return KpiDraft.objects.filter(pk=definition.pk).select_related("saved_by").first()


@transaction.atomic
def create(slug: str, edit: Edit, editor: Editor, *, reason: str = "Created", kpis: Kpis = None) -> Saved:
    """A new definition. It is a draft in full: nothing runs, and only administrators see it, until it is published.

    Raises Invalid for a slug that is taken, a formula that cannot run, or targets that contradict each other.
    """
    definition = _new(slug, edit, DefinitionStatus.DRAFT, editor.now)
    if KpiDefinition.objects.filter(pk=slug).exists():
        raise _taken(slug)
    definition.save(force_insert=True)
    return save(definition, replace(edit, described={}), editor, reason=reason, kpis=kpis)


@transaction.atomic
def create_in_force(edits: Mapping[str, Edit], editor: Editor, *, reason: str) -> None:
    """Many new definitions by slug that run at once, each in its first version; parts stand before what they make up.

    All of them or none. Raises Invalid as `create` does.
    """
    known, rows, targets = kpi_shapes(), list[KpiDefinition](), list[KpiTarget]()
    for slug, edit in edits.items():
        if slug in known:
            raise _taken(slug)
        row = _new(slug, edit, DefinitionStatus.ACTIVE, editor.now)
        row.spec = edit.running.spec if edit.running else None
        if row.spec is not None:
            check_spec(row.spec, row.units, slug=slug, audience=audience_of(row), kpis=known)
        check(edit.targets or ())
        known[slug] = shape_of(row)
        rows.append(row)
        targets += _target_rows(row, edit.targets or ())
    versions = add(rows, targets, by=editor.person, reason=_reason(reason), now=editor.now)
    told = ((version.definition, {"version": version.number, **contents(version)}) for version in versions)
    audit.record_made(
        Action.KPI_DEFINITION_CHANGE, told, by=editor.person, request=editor.request, reason=_reason(reason)
    )


def _taken(slug: str) -> Invalid:
    return SlugTaken(f"There is a KPI {slug} already. Change that one, or choose another slug.", field="slug")


def _new(slug: str, edit: Edit, status: DefinitionStatus, now: datetime) -> KpiDefinition:
    """Not yet stored, and without its formula."""
    if edit.running is None:
        raise Invalid("A new definition needs its formula in words and its units.", field="formula")
    told = {**edit.described, "formula": edit.running.formula, "units": edit.running.units}
    return KpiDefinition(slug=slug, status=status, created_at=now, **told)


@transaction.atomic
def save(
    definition: KpiDefinition, edit: Edit, editor: Editor, *, reason: str, seen: str | None = None, kpis: Kpis = None
) -> Saved:
    """Descriptions and targets take effect; what decides the numbers becomes the draft. Nothing new, nothing written.

    A draft that says what runs already is dropped. `seen` is the state that the editor looked at, if they said so;
    raises EditedMeanwhile if it is another by now.
    """
    locked = _locked(definition)
    if seen is not None and (now := state_of(locked)) != seen:
        raise EditedMeanwhile(edited_meanwhile(locked, seen, now))
    audience = audience_of(locked)
    _describe(locked, edit.described)
    if audience_of(locked) != audience:
        _check_running(locked, running_of(locked))
    if edit.targets is not None:
        _set_targets(locked, edit.targets)
    draft, is_new = _save_draft(locked, edit.running, editor, reason, kpis)
    version = _version(locked, editor, reason)
    _refresh(definition, locked)
    return Saved(version, draft, is_new)


@transaction.atomic
def publish(definition: KpiDefinition, editor: Editor, *, reason: str) -> Published:
    """The draft becomes what runs. A definition that never ran begins to."""
    reason = _reason(reason)
    locked, draft = _locked(definition), draft_of(definition)
    if draft is None and locked.status != DefinitionStatus.DRAFT:
        raise NothingToPublish
    if draft is not None:
        _check_running(locked, running_of(draft))
        _check_units(locked, draft.units)
        for name in RUNNING:
            setattr(locked, name, getattr(draft, name))
        draft.delete()
    if locked.status == DefinitionStatus.DRAFT:
        locked.status = DefinitionStatus.ACTIVE
    locked.save()
    version = _version(locked, editor, reason)
    _refresh(definition, locked)
    return Published(version, outdated(locked))


@transaction.atomic
def discard(definition: KpiDefinition, editor: Editor) -> bool:
    """Drops the draft. False if there was none."""
    draft = draft_of(_locked(definition))
    if draft is None:
        return False
    _audit_draft(draft, editor, "Draft discarded", after=None)
    draft.delete()
    return True


def restore(definition: KpiDefinition, version: KpiDefinitionVersion, editor: Editor, *, reason: str) -> Saved:
    """Puts a version back as a new one: its formula as a draft, the rest at once. The status stays as it is."""
    reason = _reason(f"As in v{version.number}: {_reason(reason)}"[:300])
    described = {name: version.snapshot[name] for name in DESCRIBED if name in version.snapshot}
    edit = Edit(described, running_of(version), stated(version.snapshot.get("targets", [])))
    return save(definition, edit, editor, reason=reason)


def outdated(definition: KpiDefinition) -> dict[int, int]:
    """Current computed figures per earlier version; what people stated is of the day they stated it."""
    rows = definition.observations.current().exclude(definition_version__version=definition.current_version)
    found: dict[int, int] = {}
    for number in rows.filter(run__isnull=False).values_list("definition_version__version", flat=True):
        found[number] = found.get(number, 0) + 1
    return dict(sorted(found.items()))


# --- Governance ---


@transaction.atomic
def mark_reviewed(definition: KpiDefinition, editor: Editor, *, note: str) -> KpiReview:
    """Somebody looked at the definition and found it right. It changes nothing else."""
    note = clean_text(note, field="note", max_length=300, required=True)
    locked = _locked(definition)
    review = KpiReview.objects.create(definition=locked, reviewed_by=editor.person, reviewed_at=editor.now, note=note)
    KpiDefinition.objects.filter(pk=locked.pk).update(last_reviewed_at=editor.now)
    definition.last_reviewed_at = editor.now
    return review


def retire(definition: KpiDefinition, editor: Editor, *, reason: str) -> bool:
    """Nothing is computed or stated any more; what is stored stays. False if it was retired before."""
    return _move(definition, DefinitionStatus.RETIRED, editor, reason)


def bring_back(definition: KpiDefinition, editor: Editor, *, reason: str) -> bool:
    """A retired definition runs again. False if it was not retired."""
    if definition.status != DefinitionStatus.RETIRED:
        return False
    return _move(definition, DefinitionStatus.ACTIVE, editor, reason)


@transaction.atomic
def _move(definition: KpiDefinition, status: DefinitionStatus, editor: Editor, reason: str) -> bool:
    reason, locked = _reason(reason), _locked(definition)
    if locked.status == status:
        return False
    locked.status = status
    locked.save(update_fields=["status", "updated_at"])
    _version(locked, editor, reason)
    _refresh(definition, locked)
    return True


# --- The parts of a save ---


def _locked(definition: KpiDefinition) -> KpiDefinition:
    return KpiDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)


def edited_meanwhile(definition: KpiDefinition, seen: str, now: str) -> str:
    return (
        f"{definition.slug} was saved while you were editing it (you saw {seen or 'nothing'}, it is {now}). "
        "Open it again and repeat your change."
    )


def state_of(definition: KpiDefinition) -> str:
    """Names what an editor sees: `v4.2`, or `v4.2 with a draft of 2026-03-02 12:00:00.000000`."""
    return state_with(definition, draft_of(definition))


def state_with(definition: KpiDefinition, draft: KpiDraft | None) -> str:
    last = definition.versions.first()
    number = f"v{last.number}" if last else ""
    return f"{number} with a draft of {draft.saved_at:%Y-%m-%d %H:%M:%S.%f}" if draft else number


def _describe(definition: KpiDefinition, described: Mapping[str, object]) -> None:
    if unknown := sorted({*described} - {*DESCRIBED}):
        raise Invalid(f"{', '.join(unknown)} cannot be set here.", field=unknown[0])
    for name, value in described.items():
        setattr(definition, name, value)
    if described:
        definition.save()


def _set_targets(definition: KpiDefinition, targets: Sequence[Stated]) -> None:
    check(targets)
    if sorted(map(_key, targets_of(definition))) == sorted(_key(rendered(target)) for target in targets):
        return
    definition.targets.all().delete()
    KpiTarget.objects.bulk_create(_target_rows(definition, targets))


def _target_rows(definition: KpiDefinition, targets: Sequence[Stated]) -> list[KpiTarget]:
    return [
        KpiTarget(definition=definition, **{name: getattr(target, name) for name in Stated.__slots__})
        for target in targets
    ]


def _key(target: Mapping[str, object]) -> str:
    return repr(sorted(target.items(), key=lambda pair: pair[0]))


def _save_draft(
    definition: KpiDefinition, running: Running | None, editor: Editor, reason: str, kpis: Kpis
) -> tuple[KpiDraft | None, bool]:
    draft = draft_of(definition)
    if running is None or (draft is not None and running_of(draft) == running):
        return draft, False
    if running == running_of(definition) and definition.status != DefinitionStatus.DRAFT:
        if draft is not None:
            _audit_draft(draft, editor, reason, after=None)
            draft.delete()
        return None, False
    _check_running(definition, running, kpis)
    made = KpiDraft(
        definition=definition,
        formula=running.formula,
        spec=running.spec,
        units=running.units,
        saved_by=editor.person,
        saved_at=editor.now,
        note=reason,
    )
    made.save()
    _audit_draft(draft or definition, editor, reason, after=running)
    return made, True


def _check_running(definition: KpiDefinition, running: Running, kpis: Kpis = None) -> None:
    if running.spec is not None:
        check_spec(running.spec, running.units, slug=definition.slug, audience=audience_of(definition), kpis=kpis)


def _check_units(definition: KpiDefinition, units: str) -> None:
    """Stored values keep their unit, and one series cannot have two."""
    if units != definition.units and definition.observations.exists():
        raise Invalid(
            f"Values are stored in {definition.units}. Define a new KPI for {units}, and retire this one.",
            field="units",
        )


def _version(definition: KpiDefinition, editor: Editor, reason: str) -> KpiDefinitionVersion | None:
    """A version of what took effect, told to the audit trail; None if nothing did."""
    before = definition.versions.first()
    saved = save_version(definition, by=editor.person, reason=reason, now=editor.now)
    if saved is not None:
        _audit(saved, before, editor)
    return saved


def _reason(reason: str) -> str:
    return clean_text(reason, field="reason", max_length=300, required=True)


def _refresh(definition: KpiDefinition, locked: KpiDefinition) -> None:
    """The caller's row says what is stored."""
    for column in locked._meta.concrete_fields:
        setattr(definition, column.attname, copy.deepcopy(getattr(locked, column.attname)))
    definition._prefetched_objects_cache = {}  # type: ignore[attr-defined]


# --- The audit trail ---


def contents(version: KpiDefinitionVersion) -> dict[str, object]:
    """Everything a version says, formula first."""
    return {**{name: getattr(version, name) for name in RUNNING}, **version.snapshot}


def _audit(saved: KpiDefinitionVersion, last: KpiDefinitionVersion | None, editor: Editor) -> None:
    """What changed, and who may see it once more by itself."""
    now, then = contents(saved), contents(last) if last else {}
    changed = [name for name in now if now[name] != then.get(name)]
    after = {"version": saved.number, **{name: now[name] for name in changed}}
    before = {"version": last.number, **{name: then.get(name) for name in changed}} if last else None
    told = {"request": editor.request, "by": editor.person, "obj": saved.definition}
    audit.record(Action.KPI_DEFINITION_CHANGE, before=before, after=after, reason=saved.reason, **told)  # type: ignore[arg-type]
    for name in ("visibility", "stakeholder_visible", "is_personal"):
        if last and name in changed:
            audit.record(
                Action.VISIBILITY_CHANGE,
                before={name: then.get(name)},
                after={name: now[name]},
                **told,  # type: ignore[arg-type]
            )


def _audit_draft(then: KpiDraft | KpiDefinition, editor: Editor, reason: str, *, after: Running | None) -> None:
    definition = then.definition if isinstance(then, KpiDraft) else then
    before = running_of(then)
    told = {name: getattr(after, name) for name in RUNNING} if after else {}
    audit.record(
        Action.KPI_DEFINITION_CHANGE,
        request=editor.request,
        by=editor.person,
        obj=definition,
        before={"draft": {name: getattr(before, name) for name in RUNNING}} if isinstance(then, KpiDraft) else None,
        after={"draft": told or None},
        reason=reason,
    )
