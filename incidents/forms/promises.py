"""Milestones and the next update they promise."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Protocol, cast

from django import forms
from django.core.exceptions import ValidationError

from incidents import moments, words
from incidents.canned import fill
from incidents.forms.core import Happened, read_time
from incidents.forms.fields import Moment, Prose
from incidents.lifecycle import Status


class QuotableLine(Protocol):
    """A line of the log that a milestone may quote."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def is_public(self) -> bool: ...


#: The script puts the name of the reader's zone in, where times are shown in it.
ZONE = {"data-zone": ""}


class Promising(Happened):
    """With a next update: one of the quick picks, or a clock time in the reader's zone, which counts before it."""

    PROMISES = (("15", "15 min"), ("30", "30 min"), ("60", "60 min"))

    next_update = forms.ChoiceField(choices=PROMISES, initial="30", widget=forms.RadioSelect, label="Next update in")
    next_update_at = Moment(label="or at (UTC)", placeholder="14:30", help_text="Counts before the choice beside it.")
    zone = forms.CharField(max_length=60, required=False, widget=forms.HiddenInput(ZONE))
    aliases: ClassVar[dict[str, str]] = {**Happened.aliases, "next_update_eta": "next_update_at"}

    def clean_next_update_at(self) -> datetime | None:
        zone = moments.zone_called(str(self.data.get(self.add_prefix("zone"), "")))
        text = self.cleaned_data["next_update_at"]
        return read_time(partial(moments.promised, zone=zone), text, self.now) if text else None

    @property
    def promise(self) -> datetime | None:
        """When the next update is promised for."""
        chosen = self.cleaned_data.get("next_update", "")
        if at := self.cleaned_data.get("next_update_at"):
            return at
        return self.now + timedelta(minutes=int(chosen)) if chosen.isdecimal() else None


class MilestoneForm(Promising):
    """`lines` are entries of the log since the last milestone: those that are ticked are quoted below the body.

    Only in Monitoring may it promise nothing, and then it says why.
    """

    NOTHING = ("none", "No promise")

    title = forms.CharField(max_length=200, label="Headline", error_messages={"required": "Give it a headline."})
    body = Prose(label="What changed, what comes next", required=False)
    lines = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Quote from the log since the last milestone"
    )
    no_promise_reason = forms.CharField(
        max_length=500, required=False, label="Why no next update", help_text="Those who wait read it."
    )

    def __init__(
        self, *args: Any, lines: Iterable[QuotableLine] = (), status: str = Status.ACTIVE, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        # Nothing gets through, so that the rule, which knows why not, refuses it.
        choice = cast(forms.ChoiceField, self.fields["next_update"])
        choice.choices = [*self.PROMISES, self.NOTHING]
        if status != Status.MONITORING:
            choice.widget.choices = list(self.PROMISES)
            del self.fields["no_promise_reason"]
        offered = list(lines)
        quotes = cast(forms.MultipleChoiceField, self.fields["lines"])
        quotes.choices = [(line.id, line.text) for line in offered]
        quotes.initial = [line.id for line in offered if line.is_public]
        if not offered:
            del self.fields["lines"]

    def clean(self) -> dict[str, Any]:
        """The body as it will be read, quoted lines and all."""
        said = super().clean() or self.cleaned_data
        offered = cast(forms.MultipleChoiceField, self.fields["lines"]).choices if "lines" in self.fields else []
        texts = dict(cast("list[tuple[str, str]]", offered))
        quoted = [f"- {texts[line]}" for line in said.get("lines", [])]
        said["body"] = "\n".join(filter(None, [said.get("body", "").strip(), *quoted]))
        if not said["body"]:
            raise ValidationError({"body": "Write what changed, or tick what the log says."})
        due = words.hour(self.promise, self.now) if self.promise else "not planned"
        said["body"] = fill(said["body"], {"next_update": due})
        return said

    @property
    def entries(self) -> list[str]:
        """The entries that are quoted, in the order of the log."""
        return list(self.cleaned_data.get("lines", []))


class MoveForm(Promising):
    """Another time for the promise that stands, and why."""

    next_update = forms.ChoiceField(
        choices=Promising.PROMISES, required=False, widget=forms.RadioSelect, label="Next update in"
    )
    next_update_at = Moment(label="or at (UTC)", placeholder="14:30")
    reason = forms.CharField(
        max_length=500,
        label="Why does it take longer?",
        help_text="Stakeholders read it.",
        error_messages={"required": "Say why: those who wait read it."},
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if not said.get("next_update") and not said.get("next_update_at") and not self.errors:
            raise ValidationError({"next_update": "Choose when the next update comes."})
        return said


class PromiseForm(Promising):
    """Nothing new, and when to hear more: the shortest milestone there is. "same" is as long as the last time."""

    SAME = ("same", "as long as last time")

    next_update = forms.ChoiceField(
        choices=[*Promising.PROMISES, SAME], required=False, widget=forms.RadioSelect, label="Next update in"
    )
    next_update_at = Moment(label="or at (UTC)", placeholder="14:30")
    reason = forms.CharField(
        max_length=500, required=False, label="Why, if there is something to say", help_text="Stakeholders read it."
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if not said.get("next_update") and not said.get("next_update_at") and not self.errors:
            raise ValidationError({"next_update": "Choose when the next update comes."})
        return said
