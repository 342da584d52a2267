"""The forms of the definition tool. They parse and refuse; kpis/actions.py writes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.forms.models import BaseInlineFormSet

from kpis.actions import DESCRIBED, Edit, Running, draft_of, edited_meanwhile, state_with
from kpis.definitions import RUNNING, audience_of, check_spec
from kpis.models import KpiDefinition
from kpis.targets import Stated, mistakes, tie_in_words, ties
from majorops.lib.errors import Invalid


class SpecField(forms.JSONField):
    """JSON laid out for reading. What Python cannot even parse is a mistake, not a crash."""

    widget = forms.Textarea(attrs={"rows": 24, "cols": 100, "spellcheck": "false", "class": "vLargeTextField spec"})

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except ValidationError as error:
            raise ValidationError(_where_it_breaks(value)) from error
        except (RecursionError, ValueError):
            raise ValidationError("This JSON is nested too deeply, or has numbers too long.") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


def _where_it_breaks(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"Line {error.lineno}, column {error.colno}: this is no JSON ({error.msg})."
    return "Enter a valid JSON."


#: Each says what it means, an example, and who sees it.
DEFINITION_HELP = {
    "slug": "The name programs use, in lower case; it cannot change later, e.g. cadence-adherence. Seen by everyone "
    "who may read the KPI, in addresses and the API.",
    "name": "The name people read, e.g. Mean Time to Resolve. Seen by everyone who may read the KPI.",
    "description": "What it measures and why it matters, e.g. How long a major incident lasts, from the moment we "
    "knew. Seen by everyone who may read the KPI.",
    "formula": "The calculation in words, for people, e.g. avg(resolved_at - detected_at). It is not run. Seen by "
    "everyone who may read the KPI.",
    "spec": 'The formula that runs, as JSON, e.g. {"schema": "majorops.kpi/1", ...}; the reference is docs/kpis.md. '
    "Empty: the KPI is proposed, not measured. Seen by everyone who may read the KPI.",
    "units": "What the value is counted in, e.g. minutes, percent, score or count; it must be the unit of the spec. "
    "Seen beside every value.",
    "visibility": "Who reads it, e.g. Internal: incident managers and administrators, and what it says of a team its "
    "own members. Executive: executives as well. Nothing is seen without signing in.",
    "stakeholder_visible": "Whether stakeholders see an executive KPI too, e.g. yes for cadence adherence, which is a "
    "promise made to them.",
    "is_personal": "Whether it measures single people, e.g. engineer response time. Then nobody sees its figures on a "
    "page or scorecard, and people are never ranked.",
    "owner": "The role or person who answers for it being right, e.g. MIM Lead. Seen by everyone who may read the KPI.",
    "review_cadence": "How often the definition is looked at again, e.g. Quarterly. A review that is overdue lowers "
    "the evidence of every figure, and everyone who may read the KPI sees that.",
    "proxy_for": "Fill it in if something else is measured than the name says, e.g. time to close the ticket. It "
    "lowers the evidence, and everyone who may read the KPI sees it as the reason.",
}
TARGET_HELP = {
    "severity": "Only for incidents of this severity, e.g. Critical. Empty: any. Seen beside the target.",
    "alarm_level": "Only for dispatches at this alarm level, e.g. Box 3. Empty: any. Seen beside the target.",
    "persona": "Whose expectation it is, e.g. Executives: only their scorecard shows it. Empty: everybody sees it.",
    "statistic": "What is judged, e.g. 90th percentile. Empty: the KPI's own value. Seen beside the target.",
    "operator": "Which side is good, e.g. ≤ for a time. Exactly on target is met for ≤ and ≥. Seen beside the value.",
    "value": "The limit, in the KPI's units, e.g. 120. Seen by everyone who may read the KPI.",
    "warn_value": "Met, but beyond this it is shown as at risk, e.g. 100. Empty: no warning. Seen as the state only.",
    "effective_from": "The first day it holds, e.g. 2027-01-01. Empty: it always did. Seen on the definition's page.",
    "effective_to": "The first day it no longer holds, e.g. 2027-04-01. Empty: until further notice. Seen on the "
    "definition's page.",
    "due_on": "The day from which it holds as one rung of a ladder of goals, e.g. 80 in May and 90 in July. Seen on "
    "the definition's page.",
}


class DefinitionForm(forms.ModelForm):
    """A definition as an editor sees it: with the draft of its formula, if there is one."""

    reason = forms.CharField(
        max_length=300,
        help_text="Why it changes, e.g. Targets agreed with operations for 2027. The version history keeps it, "
        "for everyone who may read the KPI.",
    )
    #: What the editor looked at. Two people who edit at once must not overwrite each other.
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        help_texts = DEFINITION_HELP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = self.is_change
        self.draft = draft_of(self.instance) if self.is_change else None
        if self.draft is not None:
            self.initial.update({name: getattr(self.draft, name) for name in RUNNING})
        self.initial["seen"] = state_with(self.instance, self.draft) if self.is_change else ""

    @property
    def is_change(self) -> bool:
        return not self.instance._state.adding

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in {"description", "formula"} & cleaned.keys():
            # Browsers send CR LF, which would look like a change of every line.
            cleaned[name] = cleaned[name].replace("\r\n", "\n")
        if self.is_change and cleaned.get("seen") != (now := self.initial["seen"]):
            self.add_error(None, edited_meanwhile(self.instance, cleaned.get("seen", ""), now))
        if cleaned.get("spec") is not None and cleaned.get("units"):
            self._check_spec(cleaned)
        return cleaned

    def _check_spec(self, cleaned: dict[str, Any]) -> None:
        told = {name: cleaned[name] for name in ("visibility", "stakeholder_visible", "is_personal") if name in cleaned}
        slug = self.instance.slug or cleaned.get("slug")
        try:
            check_spec(cleaned["spec"], cleaned["units"], slug=slug, audience=audience_of(KpiDefinition(**told)))
        except Invalid as error:
            self.add_error("spec", f"{error.field}: {error.message}" if error.field else error.message)

    @property
    def running(self) -> Running:
        return Running(**{name: self.cleaned_data[name] for name in RUNNING})

    def edit(self, targets: list[Stated] | None) -> Edit:
        """What the form says, for kpis.actions."""
        described = {name: self.cleaned_data[name] for name in DESCRIBED if name in self.cleaned_data}
        return Edit(described, self.running, targets)


class TargetForm(forms.ModelForm):
    class Meta:
        help_texts = TARGET_HELP

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            for field, sentence in mistakes(self.stated):
                self.add_error(field, sentence)
        return cleaned

    @property
    def stated(self) -> Stated:
        return Stated(**{each.name: self.cleaned_data.get(each.name) for each in dataclasses.fields(Stated)})  # type: ignore[arg-type]


class TargetFormSet(BaseInlineFormSet):
    """All targets of one save, held against each other. A tie is told at the later row."""

    def clean(self) -> None:
        super().clean()
        kept = [(form.stated, form) for form in self._kept() if not form.errors]
        for one, other in ties([stated for stated, _ in kept]):
            form = next(form for stated, form in reversed(kept) if stated is other)
            form.add_error(None, tie_in_words(one, other))

    def stated(self) -> list[Stated]:
        return [form.stated for form in self._kept()]

    def _kept(self) -> list[Any]:
        return [
            form
            for form in self.forms
            if getattr(form, "cleaned_data", None) and form not in self.deleted_forms and "value" in form.cleaned_data
        ]

    def save(self, commit: bool = True) -> list[Any]:
        """Writes nothing: the rows go with the definition, through kpis.actions."""
        self.new_objects, self.changed_objects, self.deleted_objects = [], [], []
        return []


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=300, help_text="Why. The version history keeps it.")


class NoteForm(forms.Form):
    """A review says what was looked at."""

    reason = forms.CharField(
        label="Note",
        max_length=300,
        help_text="What you looked at and found right, e.g. Formula and targets checked with the ops leads.",
    )


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several, always as a list."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        return [super(FilesField, self).clean(each, initial) for each in data or [None]]


class FileForm(forms.Form):
    file = FilesField(
        label="Files",
        help_text="One or several: .yaml, .json, .csv, or a .zip of them; up to 1 MB together. A KPI may be made of "
        "others that come along.",
    )


class CommitForm(ReasonForm):
    """The file as it was shown, and what was shown of it: another plan than this is shown anew, not saved."""

    told = forms.CharField(widget=forms.HiddenInput, strip=False)
    shown = forms.CharField(widget=forms.HiddenInput)
    publish_too = forms.BooleanField(
        required=False, label="Publish changed formulas", help_text="Otherwise they wait as drafts."
    )
