"""Incidents in the documented contract. What a reader may not see is absent, not null (incidents/viewing.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.serializers import Person
from incidents import clock
from incidents.audience import Audience
from incidents.lifecycle import (
    CommandRole,
    EventType,
    ExternalImpact,
    Kind,
    RiskLevel,
    Severity,
    Status,
    Visibility,
)
from incidents.models import ArrivalSource, Incident, Milestone, TimelineEvent
from incidents.viewing import EVERYONE, audience_for, joined_entries, readable_changes
from majorops.lib.fields import Body, OneOf, Shown, Text, Time, Whole, by_value
from majorops.lib.problems import camel
from majorops.lib.visibility import readable, visible
from teams.alarm import AlarmLevel
from teams.serializers import TeamNamed

# --- Out ---

#: Not columns: what is counted for the viewer, and what filters itself.
COMPUTED = frozenset({"updates_posted", "*"})


class OfIncident(Shown):
    """Fields of an incident row, each only where its reader may read it."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name, field in fields.items():
            field.required = field.required and (field.source or name) in EVERYONE | COMPUTED
        return fields

    def to_representation(self, incident: Incident) -> dict[str, Any]:
        seen = COMPUTED | readable(Incident, self.context["request"].user, incident)
        shown = super().to_representation(incident)
        return {name: shown[name] for name, field in self.fields.items() if field.source in seen}

    def viewer_of(self, incident: Incident) -> Audience:
        return audience_for(self.context["request"].user, incident)


class AlertShown(OfIncident):
    alert_id = serializers.CharField(allow_null=True)
    customer_count = serializers.IntegerField(allow_null=True, help_text="Null: not known.")
    issue_time = Time(allow_null=True)
    resolve_time = Time(allow_null=True)
    external_impact = OneOf(ExternalImpact)


class CommandShown(Shown):
    """Who holds the roles now, by name; null where nobody does."""

    mim = serializers.CharField(allow_null=True)
    sre = serializers.CharField(allow_null=True)
    leader = serializers.CharField(allow_null=True)
    service_manager = serializers.CharField(allow_null=True)
    customer_ops = serializers.CharField(allow_null=True)

    def to_representation(self, incident: Incident) -> dict[str, Any]:
        holders = [(camel(role.value), incident.holder(role)) for role in CommandRole]
        return {role: str(holder) if holder else None for role, holder in holders}


class IncidentShown(OfIncident):
    """An incident as lists show it."""

    id = serializers.CharField()
    kind = OneOf(Kind, shown=by_value)
    title = serializers.CharField()
    description = serializers.CharField()
    severity = OneOf(Severity)
    status = OneOf(Status)
    phase = serializers.IntegerField(min_value=1, max_value=8)
    phase_entered_at = Time()
    detected_at = Time()
    resolved_at = Time(allow_null=True)
    affected_systems = serializers.ListField(child=serializers.CharField())
    bridge_url = serializers.CharField(allow_null=True)
    command = CommandShown(source="*")
    alert = AlertShown(source="*", required=False, help_text="Absent for stakeholders.")
    alert_source = serializers.CharField()
    dedup_key = serializers.CharField(allow_null=True)
    updates_posted = serializers.IntegerField(help_text="Those this reader may read.")
    next_update_eta = Time(allow_null=True)
    last_communicated_at = Time(allow_null=True)
    business_impact = serializers.CharField()
    customer_impact_summary = serializers.CharField()
    risk_level = OneOf(RiskLevel)
    exec_summary = serializers.CharField()
    decision_asked = serializers.CharField(help_text="What executives have to decide; empty: nothing.")
    audience_notes = serializers.CharField()
    restricted = serializers.BooleanField(help_text="Security or HR: only those who are named know of it.")
    publish_status = serializers.BooleanField(help_text="Shown on the anonymous status page.")
    public_title = serializers.CharField()
    public_id = serializers.CharField()
    opened_by = serializers.CharField(allow_null=True)
    version = serializers.IntegerField(help_text="Grows with every change; the first part of the ETag.")

    def to_representation(self, incident: Incident) -> dict[str, Any]:
        shown = super().to_representation(incident)
        return {name: item for name, item in shown.items() if name != "alert" or item}


def changes_shown(audience: Audience, changes: Mapping[str, object] | None) -> dict[str, Any] | None:
    """Old and new values by the contract's names, as far as this audience reads them."""
    return {camel(name): pair for name, pair in readable_changes(audience, changes).items()} or None


class EntryShown(Shown):
    """A line of the log. `context["audience"]` is its reader."""

    id = serializers.CharField()
    type = OneOf(EventType, shown=by_value)
    title = serializers.CharField()
    description = serializers.CharField()
    actor = serializers.CharField()
    timestamp = Time(source="occurred_at", help_text="When it happened.")
    recorded_at = Time(help_text="When it was written down.")
    visibility = OneOf(Visibility, shown=by_value, allow_null=True, help_text="Null: both audiences.")
    phase_number = serializers.IntegerField(allow_null=True)
    corrects = serializers.CharField(source="corrects_id", allow_null=True, help_text="The entry this one replaces.")
    undoes = serializers.CharField(source="undoes_id", allow_null=True, help_text="The entry this one takes back.")
    verb = serializers.CharField(help_text="What was done, for programs; empty where nobody noted it.")
    changes = serializers.SerializerMethodField(help_text="Field: [old, new].")
    source = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.source

    @extend_schema_field({"type": ["object", "null"]})
    def get_changes(self, entry: TimelineEvent) -> dict[str, Any] | None:
        return changes_shown(self.context["audience"], entry.changes)


class UpdateShown(Shown):
    id = serializers.CharField()
    content = serializers.CharField()
    visibility = OneOf(Visibility, shown=by_value)
    author = serializers.CharField(source="author_name")
    timestamp = Time(source="created_at")
    source = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.source


class MilestoneShown(Shown):
    id = serializers.CharField()
    sequence = serializers.IntegerField()
    title = serializers.CharField()
    body = serializers.CharField()
    status_at_cut = OneOf(Status)
    next_update_eta = Time(allow_null=True)
    no_promise_reason = serializers.CharField(help_text="Why no next update is promised; empty if one is.")
    cut_by = serializers.CharField(source="cut_by_name")
    cut_at = Time(source="created_at")
    is_resolution = serializers.BooleanField()
    entries = serializers.SerializerMethodField(help_text="The log entries it was made from that you may read.")

    def get_entries(self, milestone: Milestone) -> list[str]:
        if (ids := getattr(milestone, "entry_ids", None)) is not None:
            return list(ids)
        read = getattr(milestone, "entries_read", None)
        viewer = self.context["request"].user
        rows = visible(milestone.sources.all(), viewer) if read is None else read
        return [row.entry_id for row in rows]


class TeamPageShown(Shown):
    """One call of one team. Limits and times are minutes from the page."""

    id = serializers.CharField()
    team = serializers.CharField(source="team.slug")
    team_name = serializers.CharField(source="team.name")
    alarm_level = OneOf(AlarmLevel, shown=by_value, allow_null=True)
    contact_name = serializers.CharField()
    engineer = serializers.CharField(source="user.name", default=None, allow_null=True)
    paged_at = Time()
    acknowledged_at = Time(allow_null=True)
    arrived_at = Time(allow_null=True)
    arrival_source = OneOf(ArrivalSource, shown=by_value, allow_null=True)
    arrival_recorded_at = Time(allow_null=True, help_text="Other than arrivedAt: told later, or by a device's clock.")
    cancelled_at = Time(allow_null=True)
    page_count = serializers.IntegerField()
    bridge_minutes = serializers.IntegerField(allow_null=True, help_text="The limit; null without one.")


class ParticipantShown(Shown):
    """Somebody who takes part: invited, and here since `joinedAt`."""

    id = serializers.CharField()
    person = serializers.CharField(source="user.name")
    joined_at = Time(allow_null=True, help_text='When they pressed "I\'m here".')
    created_at = Time(help_text="When they were invited, or came.")


class HereShown(Shown):
    """What "I'm here" came to."""

    is_new = serializers.BooleanField(help_text="False where it was known already: nothing was written.")
    participant = ParticipantShown()
    page = TeamPageShown(allow_null=True, help_text="The call of your team that this answers, if there is one.")


class MetricsShown(Shown):
    """The five derived figures, as far as their reader reads what they are made of. They are never stored, and the
    durations run on while the incident is open. `context["now"]` is the moment they are asked for."""

    total_duration_ms = serializers.SerializerMethodField(help_text="Since it was detected.")
    impact_duration_ms = serializers.SerializerMethodField(help_text="Since the alert. Null: no alert time is known.")
    affected_users = serializers.IntegerField(source="customer_count", allow_null=True, help_text="Null: not known.")
    current_phase_label = serializers.CharField(source="get_phase_display")
    updates_posted = serializers.IntegerField(help_text="Those this reader may read.")

    NEEDS: ClassVar = {"impactDurationMs": "issue_time", "affectedUsers": "customer_count"}

    def to_representation(self, incident: Incident) -> dict[str, Any]:
        seen = readable(Incident, self.context["request"].user, incident)
        shown = super().to_representation(incident)
        return {name: value for name, value in shown.items() if self.NEEDS.get(name, "id") in seen}

    def get_total_duration_ms(self, incident: Incident) -> int:
        return _milliseconds(clock.elapsed(incident.detected_at, self.context["now"], incident.resolved_at))

    def get_impact_duration_ms(self, incident: Incident) -> int | None:
        over_at = incident.resolve_time or incident.resolved_at
        felt = clock.impact(incident.issue_time, self.context["now"], over_at)
        return None if felt is None else _milliseconds(felt)


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


class IncidentDetail(IncidentShown):
    """The full contract, with the log, updates and milestones this reader may read, oldest first."""

    timeline = serializers.SerializerMethodField()
    updates = serializers.SerializerMethodField()
    milestones = serializers.SerializerMethodField()

    @extend_schema_field(EntryShown(many=True))
    def get_timeline(self, incident: Incident) -> Any:
        entries = visible(incident.timeline.order_by("occurred_at", "id"), self.context["request"].user)
        return EntryShown(entries, many=True, context={"audience": self.viewer_of(incident)}).data

    @extend_schema_field(UpdateShown(many=True))
    def get_updates(self, incident: Incident) -> Any:
        return UpdateShown(visible(incident.updates.all(), self.context["request"].user), many=True).data

    @extend_schema_field(MilestoneShown(many=True))
    def get_milestones(self, incident: Incident) -> Any:
        milestones = visible(incident.milestones.all(), self.context["request"].user)
        rows = joined_entries(milestones, self.context["request"].user)
        return MilestoneShown(rows, many=True, context=self.context).data


# --- In ---


class AlertBody(Body):
    alert_id = Text(max_length=200, allow_null=True, allow_blank=True, required=False)
    customer_count = Whole(min_value=0, max_value=2**31 - 1, allow_null=True, required=False)
    issue_time = Time(allow_null=True, required=False)
    resolve_time = Time(allow_null=True, required=False)
    external_impact = OneOf(ExternalImpact, required=False)


class EditBody(Body):
    """The fields to change; the others stay."""

    title = Text(max_length=200, required=False)
    severity = OneOf(Severity, required=False)
    description = Text(allow_blank=True, required=False)
    affected_systems = serializers.ListField(child=Text(max_length=120), max_length=200, required=False)
    bridge_url = Text(max_length=500, allow_null=True, allow_blank=True, required=False)
    alert = AlertBody(source="*", required=False)
    business_impact = Text(allow_blank=True, required=False)
    customer_impact_summary = Text(allow_blank=True, required=False)
    risk_level = OneOf(RiskLevel, required=False)
    exec_summary = Text(allow_blank=True, required=False)
    decision_asked = Text(allow_blank=True, required=False, help_text="Executives read it; the log keeps each.")
    audience_notes = Text(allow_blank=True, required=False)
    restricted = serializers.BooleanField(required=False, help_text="Only those who command, and who is named.")
    publish_status = serializers.BooleanField(required=False, help_text="Show it on the anonymous status page.")
    public_title = Text(max_length=200, allow_blank=True, required=False, help_text="Its title there.")


class DeclareBody(EditBody):
    title = Text(max_length=200)
    severity = OneOf(Severity)
    kind = OneOf(Kind, shown=by_value, required=False)
    detected_at = Time(required=False, help_text="Default: now.")
    alert_source = Text(max_length=40, allow_blank=True, required=False)
    dedup_key = Text(
        max_length=200, allow_null=True, required=False, help_text="While an incident with it is open, no second opens."
    )


class Stamped(Body):
    at = Time(required=False, help_text="When it happened. Default: now.")


class PhaseBody(Stamped):
    phase = Whole(min_value=1, max_value=8)
    reason = Text(max_length=500, allow_blank=True, required=False, help_text="Needed to go back into 2 or 3.")


class HereBody(Stamped):
    team = Text(max_length=60, required=False, help_text="Slug. Needed where several of your teams were paged.")


class UndoBody(Body):
    entry = Text(max_length=26, required=False, help_text="Id of the log entry. Default: the last you may undo.")


class StandDownBody(Stamped):
    reason = Text(max_length=500, help_text="The log keeps it.")


class InviteBody(Stamped):
    user = Person(help_text="Who shall read and write here as if their team had been paged.")


class StatusBody(Stamped):
    status = OneOf(Status)


class CommandBody(Stamped):
    """Who takes the role: `user`, or for the SRE lead just a `name`. `"user": null` leaves it unclaimed."""

    role = OneOf(CommandRole, shown=lambda role: camel(role.value))
    user = Person(allow_null=True, required=False)
    name = Text(max_length=120, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "user" not in attrs and "name" not in attrs:
            raise serializers.ValidationError({"user": ["Say who: an e-mail address, or null to leave it unclaimed."]})
        return attrs


class EntryBody(Stamped):
    title = Text(max_length=300)
    description = Text(allow_blank=True, required=False)
    type = OneOf(EventType, shown=by_value, required=False, help_text="action (default), alert or command.")
    visibility = OneOf(
        Visibility,
        shown=by_value,
        allow_null=True,
        required=False,
        help_text="Default: internal. Null: both audiences.",
    )


class CorrectionBody(Body):
    title = Text(max_length=300)
    description = Text(allow_blank=True, required=False)
    timestamp = Time(source="occurred_at", required=False, help_text="When it really happened. Default: unchanged.")


class UpdateBody(Stamped):
    content = Text()
    visibility = OneOf(Visibility, shown=by_value)


class MilestoneBody(Stamped):
    title = Text(max_length=200)
    body = Text()
    next_update_eta = Time(
        allow_null=True, required=False, help_text="The promise for the next milestone. Needed while Active."
    )
    no_promise_reason = Text(
        max_length=500, allow_blank=True, required=False, help_text="In Monitoring, instead of nextUpdateEta."
    )
    entries = serializers.ListField(
        child=Text(max_length=26), max_length=50, required=False, help_text="Ids of the log entries it was made from."
    )


class TeamPageBody(Stamped):
    team = TeamNamed()
    contact_name = Text(max_length=200, allow_blank=True, required=False)
    user = Person(allow_null=True, required=False, help_text="The engineer who is called.")


class ArrivalBody(Stamped):
    arrival_source = OneOf(
        ArrivalSource, shown=by_value, required=False, help_text="Default: observed for incident managers, else self."
    )


class ResolveBody(Stamped):
    summary = Text(help_text="The final milestone.")


class ReopenBody(Stamped):
    reason = Text(max_length=500)
    phase = Whole(min_value=1, max_value=8, source="to", required=False, help_text="Default: 3 (Assess).")
