"""KPI definitions and observations as the API shows and reads them. A number is null with a reason, never 0."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kpis.compute import CLAIMS
from kpis.definitions import targets_of
from kpis.evaluate import Place
from kpis.evidence import Evidence
from kpis.models import KpiDefinition, KpiObservation, ObservationSource
from kpis.reading import target_in_words
from kpis.viewing import sources_of
from majorops.lib.fields import Body, Number, OneOf, Shown, Text, Time, by_value
from majorops.lib.problems import camel
from majorops.lib.visibility import readable


class EvidenceReason(serializers.Serializer[Any]):
    code = serializers.CharField()
    words = serializers.CharField()


class Figure(Shown):
    """A value of a KPI over a window of time, for everything the KPI covers."""

    window = serializers.CharField(help_text="P30D, P90D, all...")
    value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    n = serializers.IntegerField(help_text="How many values it was made of.")
    median = serializers.FloatField(allow_null=True)
    p90 = serializers.FloatField(allow_null=True)
    excluded = serializers.DictField(child=serializers.IntegerField(), help_text="Rows left out: reason and count.")
    invalid = serializers.DictField(child=serializers.IntegerField(), help_text="Rows that make no sense.")
    evidence = serializers.CharField(help_text="verified, partial, unverified or proposed.")
    evidence_reasons = EvidenceReason(many=True)
    timestamp = Time(allow_null=True, help_text="The end of the window.")
    observation = serializers.CharField(source="pk", allow_null=True, help_text="Its id; null where nothing is stored.")

    def to_representation(self, observation: KpiObservation) -> dict[str, Any]:
        shown = super().to_representation(observation)
        stored = None if observation._state.adding else shown["observation"]
        return {**shown, "reason": shown["reason"] or None, "observation": stored}


class TargetShown(serializers.Serializer[Any]):
    """A threshold. `when` is empty if it holds for all; `from`, `to` and `dueOn` are there where they are set."""

    when = serializers.DictField(child=serializers.CharField())
    op = serializers.CharField(help_text="lte, gte, lt, gt or eq.")
    value = serializers.FloatField()
    readable = serializers.CharField(help_text="The same in words.")


class DefinitionShown(Shown):
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    formula = serializers.CharField(help_text="The calculation in words.")
    units = serializers.CharField()
    targets = serializers.SerializerMethodField()
    data_sources = serializers.SerializerMethodField(help_text="What the formula reads.")
    visibility = serializers.CharField(help_text="internal or exec.")
    owner = serializers.CharField()
    review_cadence = serializers.CharField()
    last_reviewed_at = Time(allow_null=True)
    review_due_at = Time(allow_null=True)
    version = serializers.IntegerField(source="current_version")
    status = serializers.CharField(help_text="draft, active or retired.")
    evidence = serializers.SerializerMethodField(help_text="Of the latest figure.")
    latest = serializers.SerializerMethodField(help_text="The newest figure of the headline window.")
    figures = serializers.SerializerMethodField(help_text="The newest figure of each window, headline first.")

    @extend_schema_field(TargetShown(many=True))
    def get_targets(self, definition: KpiDefinition) -> list[dict[str, object]]:
        rows = zip(targets_of(definition), definition.targets.all(), strict=True)
        return [{**target, "readable": str(target_in_words(row, definition.units))} for target, row in rows]

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_data_sources(self, definition: KpiDefinition) -> list[str]:
        return list(sources_of(definition))

    @extend_schema_field({"type": "string", "enum": [label.value for label in Evidence]})
    def get_evidence(self, definition: KpiDefinition) -> str:
        return self.context["figures"][definition.slug][0].evidence

    @extend_schema_field(Figure)
    def get_latest(self, definition: KpiDefinition) -> Any:
        return Figure(self.context["figures"][definition.slug][0]).data

    @extend_schema_field(Figure(many=True))
    def get_figures(self, definition: KpiDefinition) -> Any:
        return Figure(self.context["figures"][definition.slug], many=True).data


class ObservationShown(Shown):
    """One value of one KPI about an incident or a dispatch of it."""

    id = serializers.CharField()
    kpi = serializers.CharField(source="kpi_id")
    incident = serializers.CharField(source="incident_id", allow_null=True)
    subject = serializers.CharField(source="subject_key", help_text="incident:<id>, team_page:<id>, or org:org.")
    window = serializers.CharField(help_text="Empty for one value; P30D, all... for a figure over time.")
    dims = serializers.DictField(child=serializers.CharField(allow_null=True))
    timestamp = Time()
    value = serializers.FloatField(allow_null=True)
    units = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    n = serializers.IntegerField()
    evidence = serializers.CharField()
    evidence_reasons = EvidenceReason(many=True)
    source = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.source
    confidence = serializers.FloatField(allow_null=True)
    definition_version = serializers.IntegerField(source="definition_version.version")
    revision = serializers.IntegerField()
    created_at = Time()
    metadata = serializers.DictField(required=False, allow_null=True, help_text="For readers of internal KPIs.")

    def to_representation(self, observation: KpiObservation) -> dict[str, Any]:
        shown = super().to_representation(observation)
        shown["reason"] = shown["reason"] or None
        if "metadata" not in readable(KpiObservation, self.context["request"].user, observation):
            del shown["metadata"]
        return shown


class RevisionShown(Shown):
    """A definition as it stood. `version` counts what changes the numbers, `minor` what leaves them."""

    id = serializers.CharField()
    version = serializers.IntegerField()
    minor = serializers.IntegerField()
    formula = serializers.CharField()
    spec = serializers.DictField(allow_null=True)
    units = serializers.CharField()
    snapshot = serializers.DictField(help_text="Everything else of the definition and its targets.")
    changed_by = serializers.CharField(source="changed_by.name", default=None, allow_null=True)
    changed_at = Time()
    reason = serializers.CharField()


class Documented(serializers.Serializer[Any]):
    """What kpis/reasons.py and kpis/exports.py write, for the schema; spelled in camelCase."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {camel(name): field for name, field in super().get_fields().items()}


class RowShown(Documented):
    """One row behind a figure. `facts` holds the measured fields that you read."""

    ref = serializers.CharField(help_text="incident:<id>, team_page:<id>, milestone:<id>...")
    label = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.label
    incident = serializers.CharField(allow_null=True)
    url = serializers.CharField(allow_null=True)
    place = serializers.ChoiceField(choices=[place.value for place in Place], help_text="used, or why it is left out.")
    reason = serializers.CharField(allow_null=True, help_text="The same in words.")
    facts = serializers.DictField()
    adds = serializers.FloatField(allow_null=True, help_text="Its part of the value; the parts add up to it.")
    since = serializers.CharField(allow_null=True, help_text="new since or left since the value was stored.")


class RowsShown(Documented):
    total = serializers.IntegerField()
    not_readable = serializers.IntegerField(help_text="Rows you may not read: counted, never named.")
    not_readable_adds = serializers.FloatField()
    not_listed = serializers.IntegerField(help_text="Rows beyond the first 200.")
    not_listed_adds = serializers.FloatField()
    rows = RowShown(many=True)


class LeftOutShown(RowsShown):
    reasons = serializers.DictField(child=serializers.IntegerField())


class PartShown(Documented):
    """A KPI that another is made of."""

    kpi = serializers.CharField(allow_null=True, help_text="Empty for one that you may not read.")
    shift_days = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    weight = serializers.FloatField(allow_null=True)
    scaled = serializers.FloatField(allow_null=True)
    adds = serializers.FloatField(allow_null=True)


class ExplanationShown(Documented):
    """Why a number is what it is. Written by kpis/reasons.py."""

    kpi = serializers.CharField()
    observation = serializers.CharField()
    subject = serializers.CharField()
    window = serializers.CharField(allow_null=True)
    dims = serializers.DictField(child=serializers.CharField(allow_null=True))
    timestamp = Time()
    as_of = Time(allow_null=True)
    units = serializers.CharField()
    definition_version = serializers.IntegerField()
    is_superseded = serializers.BooleanField(help_text="The definition has a newer version.")
    credit_setting = serializers.IntegerField(
        allow_null=True, help_text="The version of the dispatch credit setting that judged; null where none does."
    )
    formula = serializers.CharField(help_text="What ran, in words.")
    how = serializers.CharField(help_text="How the rows add up.")
    value = serializers.FloatField(allow_null=True, help_text="As it was stored.")
    reason = serializers.CharField(allow_null=True)
    n = serializers.IntegerField()
    evidence = serializers.CharField(help_text="As it holds now, not as it was stored.")
    evidence_reasons = EvidenceReason(many=True)
    is_claim = serializers.BooleanField(
        help_text="Somebody stated the value; the rows are what the formula would read."
    )
    value_today = serializers.FloatField(allow_null=True, help_text="The same formula on today's rows.")
    total = serializers.FloatField(allow_null=True, help_text="What the rows add up to: valueToday.")
    problem = serializers.CharField(allow_null=True)
    changes = serializers.ListField(child=serializers.CharField(), help_text="What of the rows changed since.")
    used = RowsShown()
    left_out = LeftOutShown()
    parts = PartShown(many=True)


class ChangeShown(Documented):
    words = serializers.CharField()
    arrow = serializers.CharField(allow_null=True, help_text="Only where both spans have enough values.")
    before = serializers.FloatField(allow_null=True)
    before_n = serializers.IntegerField()


class WeekShown(Documented):
    """One week from its Monday on; null is a gap."""

    week = serializers.DateField()
    value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class CardShown(Documented):
    kpi = serializers.CharField()
    name = serializers.CharField()
    dims = serializers.DictField(child=serializers.CharField(allow_null=True))
    statistic = serializers.CharField(allow_null=True, help_text="median or p90, if that is what the target is for.")
    value = serializers.FloatField(allow_null=True)
    units = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="Why there is no value.")
    n = serializers.IntegerField()
    target = serializers.CharField(allow_null=True)
    target_state = serializers.ChoiceField(choices=["met", "at_risk", "missed", "unknown", "no_target"])
    evidence = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())
    change = ChangeShown()
    as_of = Time(allow_null=True)
    observation = serializers.CharField(allow_null=True, help_text="The stored value, to ask why.")
    weeks = WeekShown(many=True)


class ScorecardShown(Documented):
    name = serializers.CharField()
    window = serializers.CharField(help_text="P30D, P60D or P90D.")
    counts = serializers.DictField(child=serializers.IntegerField())
    total = serializers.IntegerField(help_text="Cards with a target.")
    cards = CardShown(many=True)


class FigureBody(Body):
    """A figure of a KPI about everyone, or about one group, that a person or another system states."""

    value = Number()
    units = Text(max_length=24, required=False, help_text="Checked against the definition.")
    timestamp = Time(help_text="The end of its window. The same window, group and timestamp again is a revision.")
    window = Text(max_length=20, required=False, help_text="One of the definition's windows. Default: the first.")
    dims = serializers.DictField(
        child=Text(max_length=80), required=False, help_text="A value for each group the definition has. Default: all."
    )
    source = OneOf(  # type: ignore[assignment]
        [*map(ObservationSource, CLAIMS)], shown=by_value, required=False, help_text="Default: api."
    )
    confidence = Number(required=False, allow_null=True, min_value=0, max_value=1)
    metadata = serializers.DictField(required=False)


class ClaimBody(Body):
    """A value that a person or another system states. About the incident, or about one dispatch of it."""

    kpi = Text(max_length=64, help_text="Slug.")
    value = Number()
    units = Text(max_length=24, required=False, help_text="Checked against the definition.")
    timestamp = Time(help_text="When it was so. The same KPI, subject and timestamp again is a revision.")
    source = OneOf(  # type: ignore[assignment]
        [*map(ObservationSource, CLAIMS)], shown=by_value, required=False, help_text="Default: api."
    )
    confidence = Number(required=False, allow_null=True, min_value=0, max_value=1)
    metadata = serializers.DictField(required=False)
    subject = Text(max_length=60, required=False, help_text="team_page:<id>. Default: the incident.")
    team = Text(max_length=80, required=False, help_text="The dispatch of this team, where there is just one.")
