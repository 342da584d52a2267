"""Incidents that belong together, and those that nobody declared while they went on."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError

from incidents import moments
from incidents.forms.core import Form
from incidents.forms.fields import Moment, Names, Prose
from incidents.lifecycle import Severity
from incidents.links import LinkKind
from majorops.lib.errors import Invalid
from majorops.lib.ulid import parse_ulid


class LinkForm(Form):
    """Which incident belongs to this one, and why."""

    kind = forms.ChoiceField(
        label="This incident is",
        choices=[
            (LinkKind.DUPLICATE.value, "a duplicate of the other one"),
            (LinkKind.RELATED.value, "related to the other one"),
            (LinkKind.FOLLOWS.value, "what came after the other one"),
        ],
        initial=LinkKind.RELATED.value,
        widget=forms.RadioSelect,
    )
    other = forms.CharField(
        label="The other incident", max_length=200, help_text="Its id, or the address of its page.",
        error_messages={"required": "Say which incident."},
    )  # fmt: skip
    reason = forms.CharField(label="Why", max_length=500, error_messages={"required": "Say why; both logs keep it."})

    def clean_other(self) -> str:
        parts = [part for part in self.cleaned_data["other"].split("/") if part]
        for part in reversed(parts):
            try:
                return parse_ulid(part.strip())
            except ValueError:
                continue
        raise ValidationError("This is no id of an incident. It has 26 characters, and stands in its address.")


class UnlinkForm(Form):
    reason = forms.CharField(label="Why", max_length=500, error_messages={"required": "Say why; both logs keep it."})


class PastForm(Form):
    """An incident that nobody declared while it went on."""

    aliases: ClassVar[dict[str, str]] = {}
    title = forms.CharField(max_length=200, label="Title", error_messages={"required": "Give it a short title."})
    severity = forms.ChoiceField(
        choices=Severity.choices, widget=forms.RadioSelect, label="Severity",
        error_messages={"required": "Choose a severity."},
    )  # fmt: skip
    detected_at = Moment(label="Detected (UTC)", placeholder="2026-03-02T14:02Z", help_text="When you knew of it.")
    resolved_at = Moment(
        label="Resolved (UTC)", placeholder="2026-03-02T16:30Z", help_text="When it was over. Empty if it goes on."
    )
    issue_time = Moment(label="Alert (UTC)", placeholder="2026-03-02T13:55Z", help_text="Empty if there was none.")
    affected_systems = Names(label="Affected systems", rows=2, required=False, help_text="One a line.")
    note = Prose(
        label="How do you know?",
        rows=2,
        required=False,
        help_text="Kept beside it: who remembers, where it is written.",
    )

    def clean_detected_at(self) -> Any:
        if not self.cleaned_data["detected_at"].strip():
            raise ValidationError("Say when you knew of it: the clock starts there.")
        return self._moment("detected_at")

    def clean_resolved_at(self) -> Any:
        return self._moment("resolved_at")

    def clean_issue_time(self) -> Any:
        return self._moment("issue_time")

    def _moment(self, name: str) -> Any:
        text = cast(str, self.cleaned_data[name]).strip()
        if not text:
            return None
        try:
            return moments.happened(text, self.now)
        except Invalid as error:
            raise ValidationError(error.message) from None
