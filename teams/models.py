"""Who can be called. A page that was sent belongs to the incident (incidents.TeamPage), not here."""

from __future__ import annotations

from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from majorops.lib.errors import DomainError
from majorops.lib.ulid import ULIDField, new_ulid
from teams.addresses import check_urls
from teams.alarm import AlarmLevel

SLUG = RegexValidator(
    r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens, e.g. database-west."
)


class NameIsTaken(DomainError):
    """Another team is called so."""

    code = "name_is_taken"


class TeamQuerySet(models.QuerySet["Team"]):
    def dispatchable(self) -> Self:
        """Active teams by name: those a MIM can page."""
        return self.filter(is_active=True).order_by("name")

    def called(self, text: str) -> Team | None:
        """The team with this slug, name or alias, in any letter case; None if none or several match.

        A name of a team that was merged leads to the team that it was merged into.
        """
        wanted = text.strip()
        found = self.filter(
            Q(slug=wanted.lower()) | Q(name__iexact=wanted) | Q(aliases__alias=wanted.casefold())
        ).select_related("merged_into")
        meant = {team.current.pk: team.current for team in found[:10]}
        return next(iter(meant.values())) if len(meant) == 1 else None


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
    notification_urls = models.TextField(
        "notification URLs",
        blank=True,
        validators=[check_urls],
        help_text="Where a page of this team is sent, one address per line, e.g. slack://TokenA/TokenB/TokenC or "
        "jsons://hooks.example.com/page. Only administrators see them. Empty: pages are recorded, not sent.",
    )
    merged_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="merged",
        help_text="Its calls count for this team now. The row stays, for its history does.",
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
            models.CheckConstraint(
                condition=Q(merged_into=None) | Q(is_active=False), name="teams_merged_are_switched_off"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        """Raises NameIsTaken where two save at once and both forms found the name free."""
        with transaction.atomic():
            _one_at_a_time()
            if taken := self._taken():
                raise NameIsTaken(" ".join(taken.values()))
            super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        if taken := self._taken():
            raise ValidationError(taken)

    @property
    def current(self) -> Team:
        """The team that answers for this one: itself, unless it was merged."""
        return self.merged_into or self

    def member_called(self, text: str) -> User | None:
        """The active member with this e-mail or name, in any letter case; None if none or several match."""
        wanted = text.strip()
        found = self.members.filter(Q(email=wanted.lower()) | Q(display_name__iexact=wanted), is_active=True)
        people = list(found.distinct()[:2]) if wanted else []
        return people[0] if len(people) == 1 else None

    def _taken(self) -> dict[str, str]:
        """Field and sentence for each name that is another team's alias."""
        names = {"name": self.name.strip().casefold(), "slug": self.slug}
        others = TeamAlias.objects.exclude(team=self.pk).filter(alias__in=names.values()).select_related("team")
        owners = {row.alias: row.team.name for row in others}
        return {
            field: f"{word} is an alias of team {owners[word]} already. Take another, or remove the alias there."
            for field, word in names.items()
            if word in owners
        }


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
        """Raises NameIsTaken where two save at once and both forms found the name free."""
        self.alias = self.alias.strip().casefold()
        with transaction.atomic():
            _one_at_a_time()
            if taken := self._taken():
                raise NameIsTaken(taken)
            super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        self.alias = self.alias.strip().casefold()
        if taken := self._taken():
            raise ValidationError({"alias": taken})

    def _taken(self) -> str:
        """A sentence if another team is called so; empty if none is."""
        others = Team.objects.exclude(pk=self.team_id).filter(Q(slug=self.alias) | Q(name__iexact=self.alias))
        owner = others.first()
        return f"{self.alias} is already the name of team {owner.name}." if owner else ""


def _one_at_a_time() -> None:
    """Holds other writers of names off until this transaction ends; readers go on.

    No constraint spans two tables, so a name and an alias saved at once could both be found free. SQLite lets one
    writer in at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TeamAlias._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


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
