"""Who can be called. A page that was sent belongs to the incident (incidents.TeamPage), not here."""

from __future__ import annotations

from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from majorops.lib.ulid import ULIDField, new_ulid
from teams.alarm import AlarmLevel

SLUG = RegexValidator(
    r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens, e.g. database-west."
)


class TeamQuerySet(models.QuerySet["Team"]):
    def dispatchable(self) -> Self:
        """Active teams by name: those a MIM can page."""
        return self.filter(is_active=True).order_by("name")

    def called(self, text: str) -> Team | None:
        """The team with this slug, name or alias, in any letter case; None if none or several match."""
        wanted = text.strip()
        found = self.filter(
            Q(slug=wanted.lower()) | Q(name__iexact=wanted) | Q(aliases__alias=wanted.casefold())
        ).distinct()[:2]
        return found[0] if len(found) == 1 else None


class Team(models.Model):
    """A standing directory entry, curated in admin."""

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    name = models.CharField(max_length=80, help_text="As people say it, e.g. Database West.")
    slug = models.CharField(
        max_length=64,
        validators=[SLUG],
        help_text="Used in URLs, the API and KPI groups, e.g. database-west. Cannot change once used.",
    )
    rated_box = models.CharField(
        max_length=4,
        null=True,
        blank=True,
        choices=AlarmLevel.choices,
        help_text="The alarm level this team is rated for: Box 3 answers critical incidents.",
    )
    on_call_contact = models.CharField(
        max_length=200, blank=True, help_text="Filled in when the team is paged, e.g. DBA on-call, +44 20 7946 0000."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Switch off instead of deleting: past pages keep their team."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    objects = TeamQuerySet.as_manager()

    class Meta:
        db_table = "teams"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="teams_slug_unique"),
            models.CheckConstraint(
                condition=Q(rated_box=None) | Q(rated_box__in=AlarmLevel.values), name="teams_rated_box_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TeamAlias(models.Model):
    """Another name people or other systems use for a team. Stored case-folded, so that one spelling exists."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="aliases")
    alias = models.CharField(max_length=80, help_text="e.g. dba or DB West; letter case does not matter.")

    class Meta:
        db_table = "team_aliases"
        verbose_name_plural = "team aliases"
        ordering = ["alias"]
        constraints = [models.UniqueConstraint(fields=["alias"], name="team_aliases_alias_unique")]

    def __str__(self) -> str:
        return self.alias

    def save(self, *args: object, **kwargs: object) -> None:
        self.alias = self.alias.strip().casefold()
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        self.alias = self.alias.strip().casefold()
        taken = Team.objects.exclude(pk=self.team_id).filter(Q(slug=self.alias) | Q(name__iexact=self.alias)).first()
        if taken:
            raise ValidationError({"alias": f"This is already the name of team {taken.name}."})


class Membership(models.Model):
    """A person on a team. Members may post to the incidents their team is paged for."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships", verbose_name="person")
    since = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "team_memberships"
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="team_memberships_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"
