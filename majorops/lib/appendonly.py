"""Rows that are written once. To correct one, append another."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from django.db import models

from majorops.lib.errors import DomainError
from majorops.lib.ledger import Ledger


class HistoryIsAppendOnly(DomainError):
    """History is not edited or deleted. Append a correction instead."""

    code = "append_only"


M = TypeVar("M", bound=models.Model)


class AppendOnlyQuerySet(models.QuerySet[M]):
    """A queryset that reads and inserts, and refuses the rest."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise HistoryIsAppendOnly

    def delete(self) -> NoReturn:
        raise HistoryIsAppendOnly

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise HistoryIsAppendOnly


class AppendOnly(models.Model):
    """Base of a ledger whose rows are never touched again. Foreign keys to its owner are PROTECT: a cascade would
    pass the queryset by."""

    ledger = Ledger()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise HistoryIsAppendOnly
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise HistoryIsAppendOnly
