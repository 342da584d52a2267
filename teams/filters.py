from __future__ import annotations

import django_filters

from majorops.lib.paging import AnyOf, FilterSet
from teams.alarm import AlarmLevel
from teams.models import Team


class TeamFilter(FilterSet):
    box = AnyOf("rated_box", AlarmLevel.values)
    q = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )

    class Meta:
        model = Team
        fields: list[str] = []
