"""Which answers of a survey count: of each person the latest."""

from __future__ import annotations

from datetime import datetime

from incidents.models import Incident, SurveyInvitation, SurveyResponse
from incidents.survey import SurveyResult, result


def latest_of(invitation: SurveyInvitation) -> SurveyResponse | None:
    return SurveyResponse.objects.filter(invitation=invitation).order_by("submitted_at", "pk").last()


def counted(incident: Incident, *, until: datetime | None = None) -> list[SurveyResponse]:
    """The latest answer of each person, by `until` where it is given."""
    rows = SurveyResponse.objects.filter(invitation__incident=incident).order_by("submitted_at", "pk")
    latest = {row.invitation_id: row for row in (rows.filter(submitted_at__lte=until) if until else rows)}
    return list(latest.values())


def result_of(incident: Incident) -> SurveyResult:
    """What may be shown to whoever reads the log of the incident: figures, never who gave which. Two queries."""
    invited = SurveyInvitation.objects.filter(incident=incident).count()
    return result([row.score for row in counted(incident)], invited)
