"""Writes definitions: the built-in ones at migration, and a version at every change."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from django.db import transaction

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


def check_spec(spec: object, units: str, *, slug: str | None = None, audience: str | None = None) -> Formula:
    """The formula `spec` states. Raises Invalid with the path of what is wrong as its field.

    `slug` and `audience` are those of the KPI itself: it must not be made of itself, nor show what fewer may see.
    """
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
    return {definition.slug: _shape(definition) for definition in KpiDefinition.objects.all()}


def _shape(definition: KpiDefinition) -> KpiShape:
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
    stands = _as_it_stands(definition)
    last = definition.versions.first()
    if last and stands == {name: getattr(last, name) for name in stands}:
        return None
    number, minor = _next_number(last, stands)
    version = KpiDefinitionVersion.objects.create(
        definition=definition,
        version=number,
        minor=minor,
        spec_sha256=hashlib.sha256(json.dumps(definition.spec, sort_keys=True).encode()).hexdigest(),
        changed_by=by,
        changed_at=now,
        reason=reason,
        **stands,
    )
    KpiDefinition.objects.filter(pk=definition.pk).update(current_version=version.version)
    definition.current_version = version.version
    return version


def _next_number(last: KpiDefinitionVersion | None, stands: dict[str, object]) -> tuple[int, int]:
    if last is None:
        return 1, 0
    if any(getattr(last, name) != stands[name] for name in RUNNING):
        return last.version + 1, 0
    return last.version, last.minor + 1


def _as_it_stands(definition: KpiDefinition) -> dict[str, object]:
    snapshot = {name: getattr(definition, name) for name in DESCRIPTIVE}
    running = {name: getattr(definition, name) for name in RUNNING}
    return {**running, "snapshot": {**snapshot, "targets": targets_of(definition)}}


def create_missing(now: datetime) -> list[str]:
    """Creates the built-in definitions whose slug is missing. What administrators changed stays as it is."""
    known = set(KpiDefinition.objects.values_list("slug", flat=True))
    missing = [built_in for built_in in BUILT_IN if built_in.slug not in known]
    for built_in in missing:
        _create(built_in, now)
    return [built_in.slug for built_in in missing]


@transaction.atomic
def _create(built_in: BuiltIn, now: datetime) -> None:
    definition = KpiDefinition.objects.create(
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
    KpiTarget.objects.bulk_create(
        KpiTarget(definition=definition, operator=operator, value=value, **({key: value_of} if key else {}))
        for key, value_of, operator, value in built_in.targets
    )
    save_version(definition, by=None, reason="Built in", now=now)
