"""What people write into the log, tell others, put right, and ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from incidents import moments
from incidents.forms.core import Form, Happened, read_time
from incidents.forms.fields import Moment, Prose
from incidents.lifecycle import Visibility

TITLE_LENGTH = 300


def _audience(initial: str = "") -> forms.ChoiceField:
    return forms.ChoiceField(
        label="Audience",
        choices=[(Visibility.INTERNAL.value, "Internal"), (Visibility.PUBLIC.value, "Public")],
        initial=initial,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose who reads it: internal or public."},
    )


def _confirmed() -> forms.BooleanField:
    return forms.BooleanField(required=False, label="Yes, stakeholders and executives may read this")


class Published(Happened):
    """Words for one of two audiences. What stakeholders will read is confirmed."""

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("visibility") == Visibility.PUBLIC and not said.get("confirmed"):
            raise ValidationError({"confirmed": "Tick this to publish: what has been read cannot be called back."})
        return said


class LogForm(Published):
    """The first line is the entry's title, the rest its description."""

    text = Prose(label="What happened?", rows=2, error_messages={"required": "Write what happened."})
    visibility = _audience(Visibility.INTERNAL)
    confirmed = _confirmed()
    aliases: ClassVar[dict[str, str]] = {**Happened.aliases, "title": "text", "description": "text"}

    def clean_text(self) -> tuple[str, str]:
        """(title, description). What does not fit in the title goes on below it; nothing is cut off."""
        first, _, rest = self.cleaned_data["text"].strip().partition("\n")
        if len(first) <= TITLE_LENGTH:
            return first, rest.strip()
        cut = first.rfind(" ", 0, TITLE_LENGTH)
        cut = cut if cut > 0 else TITLE_LENGTH
        return first[:cut], "\n".join(part for part in (first[cut:].strip(), rest.strip()) if part)


class ResponderLogForm(LogForm):
    """People who were called write to the internal log; publishing is the commander's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["visibility"]
        del self.fields["confirmed"]


class UpdateForm(Published):
    """Nobody is the audience until one is chosen."""

    content = Prose(label="What do people need to know?", error_messages={"required": "Write the update."})
    visibility = _audience()
    confirmed = _confirmed()


class CorrectForm(Happened):
    title = forms.CharField(
        max_length=TITLE_LENGTH, label="Corrected entry", error_messages={"required": "Write what is right."}
    )
    description = Prose(required=False, label="Details")
    happened = Moment(label="Happened (UTC)", help_text="Change it only if the time was wrong.")

    def clean_happened(self) -> datetime | None:
        text = self.cleaned_data["happened"]
        return read_time(moments.happened, text, self.now) if text else None


class QuestionForm(Form):
    """One question of a reader to the incident manager."""

    question = Prose(
        rows=2,
        label="Ask the incident manager",
        max_length=1000,
        help_text="The answer comes as an update for everyone.",
    )
