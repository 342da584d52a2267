"""What is known of an incident: when it is declared, and as it is edited by several people at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from incidents import moments
from incidents.actions import EDITABLE, REACH
from incidents.badges import SHAPES
from incidents.forms.core import HAPPENED_HELP, Form, Happened, read_time
from incidents.forms.fields import Moment, Names, Prose, YesOrNo
from incidents.lifecycle import ExternalImpact, Kind, RiskLevel, Severity
from incidents.models import Incident


class DeclareForm(Happened):
    """Title and severity are enough; the rest can wait."""

    title = forms.CharField(
        max_length=200, label="What is wrong?", error_messages={"required": "Give it a short title."}
    )
    severity = forms.ChoiceField(
        choices=[(each.value, f"{SHAPES[each]} {each.label}") for each in Severity],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a severity."},
    )
    happened = Moment(label="Detected (UTC)", help_text=HAPPENED_HELP)
    description = Prose(required=False, label="Description")
    affected_systems = Names(required=False, rows=2, label="Affected systems", help_text="One a line, or with commas.")
    customer_count = forms.IntegerField(
        required=False, min_value=0, label="Customers affected", help_text="Empty means unknown, not none."
    )
    external_impact = forms.ChoiceField(
        required=False, choices=ExternalImpact.choices, initial=ExternalImpact.UNKNOWN, label="Do customers feel it?"
    )
    bridge_url = forms.CharField(required=False, max_length=500, label="Bridge link", help_text="https only.")
    alert_source = forms.CharField(required=False, max_length=40, label="Alert source", help_text="e.g. pagerduty")
    alert_id = forms.CharField(
        required=False, max_length=200, label="Alert id", help_text="A second incident for an open alert is refused."
    )
    issue_time = Moment(label="Alert fired (UTC)", placeholder="14:02", help_text="The impact clock starts here.")
    kind = forms.ChoiceField(
        choices=Kind.choices,
        initial=Kind.REAL,
        required=False,
        label="Kind",
        help_text="Drills and tests stay out of KPIs.",
    )

    def clean_issue_time(self) -> datetime | None:
        text = self.cleaned_data["issue_time"]
        return read_time(moments.happened, text, self.now) if text else None

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or Kind.REAL

    def clean_external_impact(self) -> str:
        return self.cleaned_data["external_impact"] or ExternalImpact.UNKNOWN

    @property
    def said(self) -> dict[str, Any]:
        """As open_incident takes it. The alert's id is also what tells a second declaration of it."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "happened"}
        return {**said, "dedup_key": said["alert_id"] or None}


class SummaryForm(Form):
    """The executive summary as it stands in the field, and what is to be done: `do`."""

    DOES = ("accept", "save", "rules", "ask")
    aliases: ClassVar[dict[str, str]] = {"exec_summary": "body"}

    body = Prose(
        rows=9, required=False, max_length=1200, label="Executive summary", help_text="One paragraph, no names."
    )
    do = forms.ChoiceField(choices=[(name, name) for name in DOES])
    version = forms.IntegerField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("do") in ("accept", "save") and not said.get("body") and "body" not in self.errors:
            raise ValidationError({"body": "Write the summary, or let it be drafted from the facts."})
        return said


@dataclass(frozen=True, slots=True)
class Theirs:
    """The other value of a field that two people changed, and the one that was typed."""

    name: str
    value: str
    yours: str


class EditForm(Form):
    """The descriptive fields, with the version and the values the person saw.

    So only what they changed is written, and a colleague's change in between is never lost. `only` narrows it to
    the fields that were sent.
    """

    title = forms.CharField(max_length=200, label="Title")
    severity = forms.ChoiceField(choices=Severity.choices)
    description = Prose(required=False, label="What is wrong")
    customer_impact_summary = Prose(required=False, label="Customer impact", help_text="Stakeholders read it.")
    business_impact = Prose(required=False, label="Business impact", help_text="Executives read it.")
    exec_summary = Prose(required=False, label="Executive summary", help_text="One paragraph.")
    decision_asked = Prose(required=False, rows=2, label="Decision asked of executives", help_text="Empty: nothing.")
    audience_notes = Prose(required=False, rows=2, label="Notes for the audience")
    customer_count = forms.IntegerField(
        required=False, min_value=0, label="Customers affected", help_text="Empty means unknown, not none."
    )
    external_impact = forms.ChoiceField(choices=ExternalImpact.choices, label="Do customers feel it?")
    risk_level = forms.ChoiceField(choices=RiskLevel.choices, label="Risk")
    affected_systems = Names(required=False, rows=2, label="Affected systems", help_text="One a line, or with commas.")
    bridge_url = forms.CharField(required=False, max_length=500, label="Bridge link", help_text="https only.")
    alert_id = forms.CharField(required=False, max_length=200, label="Alert id")
    issue_time = Moment(label="Alert fired (UTC)", placeholder="unknown", help_text="The impact clock starts here.")
    resolve_time = Moment(label="Alert cleared (UTC)", placeholder="unknown", help_text="The impact clock stops here.")
    restricted = YesOrNo(label="Restricted", help_text="Security or HR: only those who work on it know of it.")
    publish_status = YesOrNo(label="On the public status page", help_text="Anybody on the internet reads it.")
    public_title = forms.CharField(required=False, max_length=200, label="Title on the status page")
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(
        self,
        *args: Any,
        incident: Incident,
        may_publish: bool = True,
        only: Collection[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.incident, self.may_publish = incident, may_publish
        seen = {name: getattr(incident, name) for name in (*EDITABLE, *REACH, "version")}
        super().__init__(*args, initial=seen, **kwargs)
        left_out = set() if may_publish else {"publish_status", "public_title"}
        left_out |= set() if only is None else {*EDITABLE, *REACH} - {*only}
        for name in left_out:
            del self.fields[name]
        for name in self.editable:
            self.fields[name].show_hidden_initial = True

    @property
    def editable(self) -> list[str]:
        return [name for name in self.fields if name != "version"]

    def clean_issue_time(self) -> datetime | None:
        return self._instant("issue_time")

    def clean_resolve_time(self) -> datetime | None:
        return self._instant("resolve_time")

    def _instant(self, name: str) -> datetime | None:
        text = self.cleaned_data[name]
        return read_time(moments.happened, text, self.now) if text else None

    @property
    def changes(self) -> dict[str, Any]:
        """What the person changed, compared with what they saw; not where they chose the other's value."""
        mine = [name for name in self._changed if self.data.get(f"keep-{name}") != "theirs"]
        return {name: self.cleaned_data[name] for name in mine}

    @property
    def _changed(self) -> list[str]:
        return [name for name in self.editable if name in self.changed_data]

    @property
    def conflicts(self) -> dict[str, str]:
        """Of the fields the person changed, those a colleague has changed since: the name and the value it has now."""
        if self.data.get("version") == str(self.incident.version):
            return {}
        stand = {name: self._stands(name) for name in self._changed}
        return {name: value for name, value in stand.items() if value != self._plain(self._seen(name))}

    def merged(self, theirs: Mapping[str, str]) -> EditForm:
        """The form over the row as it is now: what was typed stays, what was not touched follows the row."""
        typed = {name: self.data.get(name) for name in self.changed_data}
        stand = {name: self._stands(name) for name in self.editable}
        seen = {f"initial-{name}": value for name, value in stand.items()}
        said = {**stand, **typed, **seen, "version": str(self.incident.version)}
        again: dict[str, Any] = {"incident": self.incident, "may_publish": self.may_publish, "only": self.editable}
        form = EditForm(said, **again, now=self.now, key=self.key)
        for name, value in theirs.items():
            yours = self._plain(self.data.get(name))
            form.fields[name].theirs = Theirs(name, value or "(empty)", yours or "(empty)")  # type: ignore[attr-defined]
        return form

    def _stands(self, name: str) -> str:
        return self._plain(self.fields[name].prepare_value(getattr(self.incident, name)))

    def _seen(self, name: str) -> object:
        return self.data.get(f"initial-{name}")

    def _plain(self, value: object) -> str:
        return "" if value is None else str(value).replace("\r\n", "\n")
