"""People and their roles. Identity comes from the access proxy; there are no passwords."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Concat, Left, Lower, NullIf, StrIndex
from django.utils import timezone

from accounts.emails import MalformedEmail, canonical_email
from accounts.roles import Can, Role, allows, has_django_permission
from majorops.lib.ulid import ULIDField, new_ulid

#: How stale last_seen_at may be: a page view should not cost a write each time.
SEEN_EVERY = timedelta(minutes=5)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, *, role: str = "", display_name: str = "", **fields: Any) -> User:
        """A person with the canonical form of `email`. Raises MalformedEmail."""
        user = self.model(email=canonical_email(email), role=role, display_name=display_name, **fields)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())

    def touch(self, user: User, now: datetime) -> bool:
        """Note that the person was here, at most once in five minutes. Whether it was noted."""
        if user.last_seen_at is not None and now - user.last_seen_at < SEEN_EVERY:
            return False
        stale = Q(last_seen_at=None) | Q(last_seen_at__lte=now - SEEN_EVERY)
        return bool(self.filter(stale, pk=user.pk).update(last_seen_at=now))


def validate_email_form(value: str) -> None:
    """Named by the first migration; `User.clean` says the same, once."""
    try:
        canonical_email(value)
    except MalformedEmail as error:
        raise ValidationError(error.message) from None


class User(AbstractBaseUser):
    """A person with access to MajorOps. The role decides what they see and may do."""

    # The access proxy authenticates; what Django would keep for passwords has no place here.
    password = None  # type: ignore[assignment]
    last_login = None

    id = ULIDField(primary_key=True, default=new_ulid, editable=False)
    email = models.CharField(
        "e-mail",
        max_length=254,
        help_text="As the access proxy reports it, e.g. kim@example.com. The API shows it as the user's id.",
    )
    display_name = models.CharField(
        max_length=120, blank=True, help_text="Shown beside everything the person does, e.g. A. Kim."
    )
    role = models.CharField(
        max_length=16,
        blank=True,
        choices=Role.choices,
        help_text="Without a role a person can sign in and is asked to contact an administrator.",
    )
    role_is_pinned = models.BooleanField(
        "role pinned",
        default=False,
        help_text="Keep this role whatever groups the identity provider reports.",
    )
    issuer = models.CharField(max_length=200, blank=True, editable=False, help_text="Who vouched at the first sign-in.")
    subject = models.CharField(
        max_length=200, blank=True, editable=False, help_text="The person's id there. An address can change hands."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Switch off instead of deleting: history keeps its names."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        verbose_name = "person"
        verbose_name_plural = "people"
        ordering = ["email"]
        indexes = [models.Index(fields=["role"], name="users_role")]
        constraints = [
            models.UniqueConstraint(fields=["email"], name="users_email_unique"),
            models.UniqueConstraint(
                fields=["issuer", "subject"], condition=~Q(subject=""), name="users_one_per_subject"
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="users_email_lower_case"),
            models.CheckConstraint(condition=Q(role__in=["", *Role.values]), name="users_role_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.display_name or self.email.partition("@")[0]

    @staticmethod
    def name_of(person: str) -> Coalesce:
        """`name` of the person a column refers to, worked out by the database. Null without one."""
        # With an @ at the end there always is one to cut before.
        at = StrIndex(Concat(f"{person}__email", Value("@")), Value("@"))
        return Coalesce(NullIf(f"{person}__display_name", Value("")), Left(f"{person}__email", at - 1))

    def can(self, capability: Can) -> bool:
        return self.is_active and allows(self.role, capability)

    # Derived from the role, never stored and never on a form.
    @property
    def is_staff(self) -> bool:
        return self.can(Can.ADMINISTER)

    @property
    def is_superuser(self) -> bool:
        return False

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and has_django_permission(self.role, perm)

    def has_perms(self, perm_list: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff

    def clean(self) -> None:
        """The address in its canonical form. Raises ValidationError; an empty one is told of by its field."""
        try:
            self.email = canonical_email(self.email) if self.email else ""
        except MalformedEmail as error:
            raise ValidationError({"email": error.message}) from None


class GroupRole(models.Model):
    """A group of the identity provider and the role it gives. The lowest number wins, not the highest right."""

    group = models.CharField(max_length=200, help_text="As the groups claim spells it.")
    role = models.CharField(max_length=16, choices=Role.choices)
    priority = models.PositiveSmallIntegerField(help_text="1 is asked first. A person without a match keeps no role.")

    class Meta:
        db_table = "group_roles"
        ordering = ["priority"]
        constraints = [
            models.UniqueConstraint(fields=["group"], name="group_roles_group_once"),
            models.UniqueConstraint(fields=["priority"], name="group_roles_priority_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="group_roles_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.group} → {self.get_role_display()}"
