"""What the tables of this app share."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q


def new_public_id() -> str:
    """128 random bits: a ULID would tell when, and its neighbours."""
    return secrets.token_hex(16)


class Source(models.TextChoices):
    """The door a row came in by."""

    WEB = "web", "Web"
    API = "api", "API"
    CLI = "cli", "CLI"
    INTAKE = "intake", "Alert intake"
    IMPORT = "import", "Import"


def one_of(field: str, choices: type[models.TextChoices], name: str, *, null: bool = False) -> models.CheckConstraint:
    """A closed set, kept by the database too."""
    known = Q(**{f"{field}__in": choices.values})
    return models.CheckConstraint(condition=known | Q(**{field: None}) if null else known, name=name)
