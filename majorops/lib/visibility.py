"""Who sees what: of each model, the rows and the columns a viewer gets. What no app declares is seen by nobody.

Every app has a module `visibility` with `SIGHTS`, a table from model to `Sight`. Doors ask `visible` for rows and
`readable` for columns; they build no queryset of their own (tests/test_visibility.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from django.apps import apps
from django.db.models import Model, QuerySet

Rows = TypeVar("Rows", bound=QuerySet[Any])

NONE: frozenset[str] = frozenset()
#: (viewer, row) -> columns they read. Without a row: the columns they read of every row they see.
Fields = Callable[[Any, Any], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What viewers get of one model. A viewer is a person, a program, or None for somebody unknown."""

    #: (queryset, viewer) -> the part of it that exists for this viewer.
    rows: Callable[[Any, Any], Any]
    fields: Fields
    #: Columns that lists may be narrowed by, put in order by, and searched. Every viewer of a list reads them:
    #: the answer to a filter tells the value as surely as showing it.
    filters: frozenset[str] = NONE
    orders: frozenset[str] = NONE
    searches: frozenset[str] = NONE


class Undeclared(LookupError):
    """A model that no visibility module declares. Nobody sees it."""


@cache
def sight_of(model: type[Model]) -> Sight:
    """The declaration of the model. Raises Undeclared."""
    app = apps.get_app_config(model._meta.app_label).name
    try:
        sight: Sight = import_module(f"{app}.visibility").SIGHTS[model]
    except (ModuleNotFoundError, KeyError):
        raise Undeclared(f"{model.__name__} is not in {app}.visibility.SIGHTS.") from None
    return sight


def visible(rows: Rows, viewer: object) -> Rows:
    """The rows of a queryset that exist for this viewer, in the same order."""
    model: type[Model] = rows.model
    seen: Rows = sight_of(model).rows(rows, viewer)
    return seen


def readable(model: type[Model], viewer: object, row: Model | None = None) -> frozenset[str]:
    """The columns this viewer reads: of `row`, or of every row they see."""
    return sight_of(model).fields(viewer, row)


def columns(model: type[Model]) -> frozenset[str]:
    """All columns of a model."""
    return frozenset(field.name for field in model._meta.concrete_fields)


def nobody(rows: Rows, viewer: object) -> Rows:
    """A rule for rows that no door shows."""
    return rows.none()
