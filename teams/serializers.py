"""Teams as the API shows and reads them. A team's id is its slug."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from majorops.lib.fields import OneOf, Shown, by_value, unknown
from teams.alarm import AlarmLevel
from teams.models import Team

#: Of a name or alias (teams.models); SQLite refuses to compare very long ones.
MAX_NAME = 80


class TeamShown(Shown):
    slug = serializers.CharField()
    name = serializers.CharField()
    rated_box = OneOf(AlarmLevel, shown=by_value, allow_null=True)
    on_call_contact = serializers.CharField()
    is_active = serializers.BooleanField()
    aliases = serializers.ListField(child=serializers.CharField(), source="aliases.all")
    members = serializers.ListField(child=serializers.CharField(), source="members.all", help_text="Names.")


@extend_schema_field({"type": "string", "description": "Slug, name or alias of a team."})
class TeamNamed(serializers.Field[Team, Any, str, Any]):
    """A team as people and other systems call it."""

    def to_internal_value(self, data: Any) -> Team:
        team = Team.objects.called(data) if isinstance(data, str) and len(data) <= MAX_NAME else None
        if team is None:
            slugs = Team.objects.dispatchable().values_list("slug", flat=True)
            raise serializers.ValidationError(unknown(str(data), slugs, what="the name of one team"), "unknown_team")
        return team

    def to_representation(self, value: Team) -> str:
        return value.slug
