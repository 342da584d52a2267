"""What every form of the pages is: it takes the refusal of an action as its own, and may be back-dated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from incidents import moments
from incidents.forms.fields import Moment
from majorops.lib.errors import DomainError, Invalid

HAPPENED_HELP = "Empty means now. 14:02, -7m or a full time with its zone."


class Form(forms.Form):
    """A form that takes the refusal of an action as its own, and has ids that are unique on the page."""

    #: What an action calls a field, where the form calls it otherwise.
    aliases: ClassVar[dict[str, str]] = {}

    def __init__(self, data: Mapping[str, Any] | None = None, *, now: datetime, key: str = "", **kwargs: Any) -> None:
        self.now = now
        self.key = key or type(self).__name__.lower()
        super().__init__(data, auto_id=f"{self.key}-%s", label_suffix="", **kwargs)

    def refuse(self, error: DomainError) -> None:
        """Puts the sentence at the field that caused it, or above the form."""
        name = self.aliases.get(error.field or "", error.field)
        self.add_error(name if name in self.fields else None, error.message)

    @property
    def sentences(self) -> list[str]:
        """Everything that is wrong with it."""
        return [str(sentence) for sentences in self.errors.values() for sentence in sentences]

    @property
    def typed(self) -> list[tuple[str, str]]:
        """What was typed: (label, text), for when the form's own place is gone."""
        said = [(str(field.label), str(self.data.get(field.html_name, ""))) for field in self.visible_fields()]
        return [(label, text) for label, text in said if text.strip()]

    @property
    def at(self) -> datetime:
        """When it happened: what was typed, or now."""
        return self.cleaned_data.get("happened") or self.now


class Happened(Form):
    """With an optional back-date."""

    aliases: ClassVar[dict[str, str]] = dict.fromkeys(
        ("at", "paged_at", "acknowledged_at", "arrived_at", "detected_at", "occurred_at"), "happened"
    )
    happened = Moment(label="Happened (UTC)", help_text=HAPPENED_HELP)

    def clean_happened(self) -> datetime | None:
        return read_time(moments.happened, self.cleaned_data["happened"], self.now)


def read_time(read: Any, text: str, now: datetime) -> datetime:
    try:
        return read(text, now)
    except Invalid as error:
        raise ValidationError(error.message) from None
