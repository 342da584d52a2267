"""Writes definitions: the built-in ones at migration, and a version at every change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import prefetch_related_objects

from accounts.models import User
from kpis.catalog import BUILT_IN, BuiltIn
from kpis.formulas import Formula, FormulaError, KpiShape, parse, references_in
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiTarget, KpiVisibility
from kpis.sources import SHAPES
from kpis.targets import rendered
from majorops.lib.errors import Invalid

#: What decides the numbers; a change of it is a draft until it is published.
RUNNING = ("formula", "spec", "units")
#: What a version remembers beside that.
DESCRIPTIVE = (
    "name",
    "description",
    "visibility",
    "stakeholder_visible",
    "is_personal",
    "owner",
    "review_cadence",
    "proxy_for",
    "status",
)
#: The number of a first version, and its minor.
FIRST = (1, 0)


def check_spec(
    spec: object,
    units: str,
    *,
    slug: str | None = None,
    audience: str | None = None,
    kpis: Mapping[str, KpiShape] | None = None,
) -> Formula:
    """The formula `spec` states. Raises Invalid with the path of what is wrong as its field.

    `slug` and `audience` are those of the KPI itself: it must not be made of itself, nor show what fewer may see.
    `kpis` are those it may be made of; by default all that are stored.
    """
    if kpis is None:
        kpis = kpi_shapes() if references_in(spec) else {}
    try:
        formula = parse(spec, sources=SHAPES, kpis=kpis, slug=slug, visibility=audience)
    except FormulaError as error:
        raise Invalid(error.message, field=error.path or "spec") from None
    if formula.unit != units:
        raise Invalid(f"The formula gives {formula.unit}; the definition's units say {units}.", field="unit")
    return formula


def formula_of(definition: KpiDefinition) -> Formula | None:
    """The formula that runs; None while the KPI is only proposed."""
    if definition.spec is None:
        return None
    return check_spec(definition.spec, definition.units, slug=definition.slug, audience=audience_of(definition))


def audience_of(definition: KpiDefinition) -> str:
    """Who may see the KPI, in the words of the formula language."""
    if definition.is_personal:
        return "personal"
    if definition.visibility == KpiVisibility.EXEC and definition.stakeholder_visible:
        return "stakeholder"
    return definition.visibility


def kpi_shapes() -> dict[str, KpiShape]:
    """What a formula that is made of KPIs must know of them, in one query."""
    return {definition.slug: shape_of(definition) for definition in KpiDefinition.objects.all()}


def shape_of(definition: KpiDefinition) -> KpiShape:
    group_by = definition.spec.get("group_by") if isinstance(definition.spec, dict) else None
    return KpiShape(
        slug=definition.slug,
        unit=definition.units,
        visibility=audience_of(definition),
        references=references_in(definition.spec),
        group_by=tuple(group_by) if isinstance(group_by, list) else (),
    )


def targets_of(definition: KpiDefinition) -> list[dict[str, object]]:
    """The documented `targets` JSON, rendered from the rows."""
    return [rendered(target) for target in definition.targets.all()]


@transaction.atomic
def save_version(
    definition: KpiDefinition, *, by: User | None, reason: str, now: datetime
) -> KpiDefinitionVersion | None:
    """Appends the definition as it stands now, targets included. None if nothing differs from the last version.

    A new formula, spec or unit is a new version; anything else is a minor one of the same version, and the numbers
    that were computed stay those of the version.
    """
    stands = as_it_stands(definition)
    last = definition.versions.first()
    if last and stands == {name: getattr(last, name) for name in stands}:
        return None
    version = _version(definition, _next_number(last, stands), stands, by=by, reason=reason, now=now)
    version.save(force_insert=True)
    KpiDefinition.objects.filter(pk=definition.pk).update(current_version=version.version)
    definition.current_version = version.version
    return version


@transaction.atomic
def add(
    definitions: Sequence[KpiDefinition],
    targets: Sequence[KpiTarget],
    *,
    by: User | None,
    reason: str,
    now: datetime,
) -> list[KpiDefinitionVersion]:
    """Stores new definitions and their targets, each definition in its first version: one statement for each table."""
    for definition in definitions:
        definition.current_version = FIRST[0]
    KpiDefinition.objects.bulk_create(definitions)
    KpiTarget.objects.bulk_create(targets)
    prefetch_related_objects(definitions, "targets")
    versions = [_version(each, FIRST, as_it_stands(each), by=by, reason=reason, now=now) for each in definitions]
    return KpiDefinitionVersion.objects.bulk_create(versions)


def _version(
    definition: KpiDefinition,
    number: tuple[int, int],
    stands: Mapping[str, object],
    *,
    by: User | None,
    reason: str,
    now: datetime,
) -> KpiDefinitionVersion:
    version, minor = number
    return KpiDefinitionVersion(
        definition=definition,
        version=version,
        minor=minor,
        spec_sha256=hashlib.sha256(json.dumps(definition.spec, sort_keys=True).encode()).hexdigest(),
        changed_by=by,
        changed_at=now,
        reason=reason,
        **stands,
    )


def _next_number(last: KpiDefinitionVersion | None, stands: dict[str, object]) -> tuple[int, int]:
    if last is None:
        return FIRST
    if any(getattr(last, name) != stands[name] for name in RUNNING):
        return last.version + 1, 0
    return last.version, last.minor + 1


def as_it_stands(definition: KpiDefinition) -> dict[str, object]:
    """What a version of it would say, by column."""
    snapshot = {name: getattr(definition, name) for name in DESCRIPTIVE}
    running = {name: getattr(definition, name) for name in RUNNING}
    return {**running, "snapshot": {**snapshot, "targets": targets_of(definition)}}


@transaction.atomic
def create_missing(now: datetime) -> list[str]:
    """Creates the built-in definitions whose slug is missing. What administrators changed stays as it is."""
    known = set(KpiDefinition.objects.values_list("slug", flat=True))
    missing = [built_in for built_in in BUILT_IN if built_in.slug not in known]
    rows = {built_in.slug: _row(built_in, now) for built_in in missing}
    targets = [
        KpiTarget(definition=rows[built_in.slug], operator=operator, value=value, **({key: value_of} if key else {}))
        for built_in in missing
        for key, value_of, operator, value in built_in.targets
    ]
    if missing:
        add([*rows.values()], targets, by=None, reason="Built in", now=now)
    return [*rows]


def _row(built_in: BuiltIn, now: datetime) -> KpiDefinition:
    return KpiDefinition(
        slug=built_in.slug,
        name=built_in.name,
        description=built_in.description,
        formula=built_in.formula,
        spec=built_in.spec,
        units=built_in.units,
        visibility=built_in.visibility,
        stakeholder_visible=built_in.stakeholder_visible,
        is_personal=built_in.is_personal,
        owner=built_in.owner,
        review_cadence=built_in.review_cadence,
        created_at=now,
    )
