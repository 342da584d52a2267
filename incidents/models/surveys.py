"""How well people were kept informed: whom we asked, and what they answered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from incidents.models.incident import Incident
from majorops.lib.appendonly import AppendOnly
from majorops.lib.ledger import Ledger
from majorops.lib.ulid import ULIDField, new_ulid


class SurveyInvitation(models.Model):
    """One person who is asked about one incident. The link to answer is signed from its id."""

    ledger = Ledger(mutable=("closes_at",))

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="survey_invitations")
    user = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name="person")
    created_at = models.DateTimeField(default=timezone.now)
    closes_at = models.DateTimeField(help_text="The last moment to answer; moved when the incident is resolved again.")

    class Meta:
        db_table = "survey_invitations"
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["incident", "user"], name="survey_one_invitation_each")]

    def __str__(self) -> str:
        return f"{self.user}: {self.incident}"


class SurveyResponse(AppendOnly):
    """One answer. Whoever answers again appends another: their latest counts, the earlier ones stay."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    invitation = models.ForeignKey(SurveyInvitation, models.PROTECT, related_name="responses")
    score = models.PositiveSmallIntegerField(help_text="1 poorly informed … 5 very well informed.")
    comment = models.TextField(blank=True, help_text="Shown without a name, once three people have answered.")
    submitted_at = models.DateTimeField(help_text="When it was sent.")

    class Meta:
        db_table = "survey_responses"
        ordering = ["submitted_at", "id"]
        constraints = [models.CheckConstraint(condition=Q(score__gte=1, score__lte=5), name="survey_score_1_to_5")]

    def __str__(self) -> str:
        return f"{self.score} of 5"
