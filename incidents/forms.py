"""What people send from the incident pages, parsed. The rules are in lifecycle.py, clock.py and actions.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Protocol, cast

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from incidents import moments, words
from incidents.actions import EDITABLE, REACH
from incidents.board import SHAPES
from incidents.canned import fill
from incidents.lifecycle import (
    CommandRole,
    ExternalImpact,
    Kind,
    Phase,
    RiskLevel,
    Severity,
    Status,
    Visibility,
    allowed_moves,
)
from incidents.models import Incident
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso
from majorops.lib.ulid import parse_ulid
from teams.models import Team

TITLE_LENGTH = 300
#: What the actions call the time that people back-date.
OTHER_NAMES_OF_HAPPENED = ("at", "paged_at", "acknowledged_at", "arrived_at", "detected_at", "occurred_at")
HAPPENED_HELP = "Empty means now. 14:02, -7m or a full time with its zone."


class Prose(forms.CharField):
    """Text of several lines, with the line ends the database keeps."""

    def __init__(self, *, rows: int = 3, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class Names(Prose):
    """A list of names, one a line or separated by commas."""

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        if isinstance(value, list):
            return value
        lines = super().to_python(value).replace(",", "\n").split("\n")
        return [line.strip() for line in lines if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial or "") != self.to_python(data or "")


class YesOrNo(forms.TypedChoiceField):
    """A switch that says its state in a word; a browser sends it either way, which a checkbox does not."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("False", "No"), ("True", "Yes")]
        super().__init__(choices=choices, coerce=lambda value: str(value) == "True", **kwargs)


class Moment(forms.CharField):
    """An instant: `14:02` (UTC), `-7m`, or a full time with its zone. Shown as the last."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"autocomplete": "off", "placeholder": kwargs.pop("placeholder", "now")}
        super().__init__(max_length=40, required=False, widget=forms.TextInput(attrs=attrs), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return iso(value) if isinstance(value, datetime) else value


class QuotableLine(Protocol):
    """A line of the log that a milestone may quote."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def is_public(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Theirs:
    """The other value of a field that two people changed, and the one that was typed."""

    name: str
    value: str
    yours: str


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
        return _typed(moments.happened, self.cleaned_data["happened"], self.now)


def _typed(read: Any, text: str, now: datetime) -> datetime:
    try:
        return read(text, now)
    except Invalid as error:
        raise ValidationError(error.message) from None


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
        return _typed(partial(moments.promised, zone=zone), text, self.now) if text else None

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


class AdvanceForm(Happened):
    phase = forms.TypedChoiceField(label="Go to", coerce=int)
    reason = forms.CharField(
        max_length=500, required=False, label="Reason", help_text="Needed to go back to Gather or Assess."
    )

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = Phase(incident.phase)
        choice = cast(forms.TypedChoiceField, self.fields["phase"])
        # Any phase gets through, so that the rule, which knows why not, refuses it.
        choice.choices = [(phase.value, phase.label) for phase in Phase]
        choice.widget.choices = [
            (phase.value, f"{phase.value} {phase.label}" + (" again" if phase < current else ""))
            for phase in allowed_moves(current)
        ]


class StatusForm(Form):
    status = forms.ChoiceField(choices=Status.choices)


class PageForm(Happened):
    """The team by name, alias, slug or id; the browser suggests those that can be called."""

    team = forms.CharField(
        max_length=80,
        label="Team",
        widget=forms.TextInput({"list": "known-teams", "autocomplete": "off", "placeholder": "Type a name"}),
        error_messages={"required": "Choose a team."},
    )
    contact_name = forms.CharField(
        max_length=200, required=False, label="Contact", help_text="Empty: the team's on-call contact."
    )

    def clean_team(self) -> Team:
        """Any team: page_team says why one that is switched off cannot be paged."""
        typed = self.cleaned_data["team"]
        found = Team.objects.called(typed) or _team_with_id(typed)
        if found is None:
            raise ValidationError(f"There is no team {typed}. Type the beginning of its name and pick one.")
        return found


def _team_with_id(text: str) -> Team | None:
    try:
        return Team.objects.filter(pk=parse_ulid(text)).first()
    except ValueError:
        return None


class AnswerForm(Happened):
    """A paged team acknowledged or arrived."""


class StandDownForm(Happened):
    """The team is not needed after all."""

    reason = forms.CharField(max_length=300, required=False, label="Why is it not needed?")


class RoleForm(Happened):
    """A person by e-mail or name; for the SRE lead any name; `release` leaves the role unclaimed.

    `take` means the person who asks. `instead_of` names the holder whom they agreed to take it from.
    """

    role = forms.ChoiceField(choices=CommandRole.choices, label="Role")
    who = forms.CharField(
        max_length=120,
        required=False,
        label="Who",
        help_text="Name or e-mail.",
        widget=forms.TextInput({"list": "people"}),
    )
    release = forms.BooleanField(required=False)
    take = forms.BooleanField(required=False)
    instead_of = forms.CharField(max_length=160, required=False)
    aliases: ClassVar[dict[str, str]] = {**Happened.aliases, "user": "who", "name": "who"}

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        who = said.get("who", "")
        if said.get("release") or said.get("take") or "role" not in said:
            return {**said, "user": None, "name": ""}
        if not who:
            raise ValidationError({"who": "Say who takes the role, or leave it unclaimed."})
        found = _people_called(who)
        if len(found) > 1:
            raise ValidationError({"who": f"{len(found)} people are called {who}. Use the e-mail address."})
        if not found and said["role"] != CommandRole.SRE:
            raise ValidationError({"who": f"Nobody here is called {who}. Use the e-mail address."})
        return {**said, "user": found[0] if found else None, "name": "" if found else who}


def _people_called(who: str) -> list[User]:
    people = User.objects.filter(is_active=True)
    return list(people.filter(email=who.lower()) or people.filter(display_name__iexact=who)[:2])


class ResolveForm(Happened):
    summary = Prose(
        label="What was wrong, and what fixed it?",
        rows=5,
        help_text="Published as the final milestone: stakeholders and executives read it.",
        error_messages={"required": "Write the summary: it is the final milestone."},
    )
    reason = forms.CharField(
        max_length=500,
        label="Why resolve it all the same?",
        help_text="The internal log keeps it.",
        error_messages={"required": "Something is missing: say why it is resolved all the same."},
    )
    aliases: ClassVar[dict[str, str]] = {**Happened.aliases, "body": "summary"}

    def __init__(self, *args: Any, has_gaps: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_gaps:
            del self.fields["reason"]


class ReopenForm(Happened):
    reason = forms.CharField(max_length=500, label="Why?", error_messages={"required": "Say why it is opened again."})
    phase = forms.TypedChoiceField(
        label="Goes on in phase",
        coerce=int,
        initial=Phase.ASSESS,
        choices=[(phase.value, f"{phase.value} {phase.label}") for phase in Phase if 1 < phase < Phase.RESOLUTION],
    )


class CorrectForm(Happened):
    title = forms.CharField(
        max_length=TITLE_LENGTH, label="Corrected entry", error_messages={"required": "Write what is right."}
    )
    description = Prose(required=False, label="Details")
    happened = Moment(label="Happened (UTC)", help_text="Change it only if the time was wrong.")

    def clean_happened(self) -> datetime | None:
        text = self.cleaned_data["happened"]
        return _typed(moments.happened, text, self.now) if text else None


class QuestionForm(Form):
    """One question of a reader to the incident manager."""

    question = Prose(
        rows=2,
        label="Ask the incident manager",
        max_length=1000,
        help_text="The answer comes as an update for everyone.",
    )


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
        return _typed(moments.happened, text, self.now) if text else None

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or Kind.REAL

    def clean_external_impact(self) -> str:
        return self.cleaned_data["external_impact"] or ExternalImpact.UNKNOWN

    @property
    def said(self) -> dict[str, Any]:
        """As open_incident takes it. The alert's id is also what tells a second declaration of it."""
        said = {name: value for name, value in self.cleaned_data.items() if name != "happened"}
        return {**said, "dedup_key": said["alert_id"] or None}


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
        return _typed(moments.happened, text, self.now) if text else None

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
