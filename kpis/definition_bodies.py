"""Definitions as the API reads them: the documented fields in, an edit out. kpis/actions.py checks and writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from kpis.actions import Edit, Running, draft_of, running_of
from kpis.definitions import RUNNING
from kpis.models import KpiDefinition, KpiVisibility, ReviewCadence
from kpis.models.definitions import SLUG
from kpis.targets import stated
from majorops.lib.fields import Body, OneOf, Text, by_value

#: Where a change keeps its reason, and a new definition says it was created.
CREATED = "Created"


class RunningBody(Body):
    """What decides the numbers."""

    formula = Text(required=False, help_text="The calculation in words, for people.")
    spec = serializers.DictField(
        required=False, allow_null=True, help_text="What runs, in the majorops.kpi/1 language. Null: only proposed."
    )
    units = Text(max_length=24, required=False, help_text="minutes, percent, score, count... The unit of the spec.")
    targets = serializers.ListField(
        child=serializers.DictField(), max_length=50, required=False, help_text="All of them, as they are shown."
    )


class DefinitionEdit(RunningBody):
    name = Text(max_length=120, required=False)
    description = Text(required=False)
    visibility = OneOf(KpiVisibility, shown=by_value, required=False)
    stakeholder_visible = serializers.BooleanField(required=False)
    is_personal = serializers.BooleanField(required=False)
    owner = Text(max_length=120, required=False)
    review_cadence = OneOf(ReviewCadence, shown=by_value, required=False)
    proxy_for = Text(max_length=200, allow_blank=True, required=False)
    reason = Text(max_length=300, help_text="Why it changes. The version history keeps it.")


class DefinitionBody(DefinitionEdit):
    slug = serializers.SlugField(max_length=64, validators=[SLUG], help_text="Its name for programs. It cannot change.")
    name = Text(max_length=120)
    description = Text()
    formula = Text(help_text="The calculation in words, for people.")
    units = Text(max_length=24)
    owner = Text(max_length=120)
    reason = Text(max_length=300, required=False, default=CREATED)


def running_told(said: dict[str, Any], definition: KpiDefinition | None = None) -> Running | None:
    """What shall decide the numbers, and what is not said as it stands, in the draft if there is one."""
    told = {name: said.pop(name) for name in RUNNING if name in said}
    if not told:
        return None
    stands = (draft_of(definition) or definition) if definition is not None else None
    before = running_of(stands) if stands is not None else Running("", None, "")
    return Running(**{name: told.get(name, getattr(before, name)) for name in RUNNING})


def edit_of(said: dict[str, Any], definition: KpiDefinition | None = None) -> Edit:
    """Raises Invalid for targets that cannot be read."""
    running = running_told(said, definition)
    targets = stated(said.pop("targets")) if "targets" in said else None
    return Edit(said, running, targets)
