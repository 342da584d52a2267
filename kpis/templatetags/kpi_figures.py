"""The KPI card of the command page. A tag, because incidents lie below kpis and must not know them."""

from __future__ import annotations

from datetime import datetime

from django import template

from accounts.models import User
from incidents.models import Incident
from kpis import reading
from kpis.viewing import observations_for, running_for

register = template.Library()


@register.inclusion_tag("kpis/_card.html")
def incident_figures(incident: Incident, user: User, now: datetime) -> dict[str, object]:
    """The figures of this incident that the person may read, and how the others stand so far."""
    rows = reading.of_incident(observations_for(user, incident), now, running=running_for(user, incident, now))
    return {"rows": rows, "incident": incident}
