"""What people ask of a list in its address. What is unknown is refused, and the refusal names what there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from incidents.lifecycle import EventType, Kind, Phase, Severity, Status, Visibility
from incidents.models import EntryQuerySet, IncidentQuerySet, PhaseEntry, TeamPage, TimelineEvent
from majorops.lib.visibility import visible
from teams.models import Team


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that is in force, and the address without it."""

    text: str
    without: str


class Query(forms.Form):
    """Filters in the address."""

    #: Parameters that are not filters.
    others: ClassVar[frozenset[str]] = frozenset({"page"})
    #: Filters that change the order, not what is found.
    orders: ClassVar[frozenset[str]] = frozenset()
    #: Filters that are always in sight; the rest is folded away.
    first: ClassVar[tuple[str, ...]] = ("q",)

    def __init__(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(data, auto_id="filter-%s", label_suffix="", **kwargs)

    def clean(self) -> dict[str, Any]:
        # An empty one asks for nothing: the link of somebody who is offered more filters works for everybody.
        if unknown := sorted(
            name for name in self.data if self.data[name] and name not in {*self.fields, *self.others}
        ):
            offered = [name for name in self.fields if name not in self.orders]
            raise ValidationError(f"There is no filter {unknown[0][:40]}. There are: {', '.join(offered)}.")
        return self.cleaned_data

    @property
    def wanted(self) -> dict[str, str]:
        """What narrows the list, as it was written."""
        if not self.is_valid():
            return {}
        names = [name for name in self.fields if name not in self.orders and self.cleaned_data[name]]
        return {name: str(self.data[name]) for name in names}

    @property
    def is_narrowed(self) -> bool:
        return bool(self.wanted)

    @property
    def chips(self) -> list[Chip]:
        said = self.wanted | {name: str(self.data[name]) for name in self.orders if self.data.get(name)}
        return [Chip(self._told(name), self._address(said, but=name)) for name in self.wanted]

    def _address(self, said: Mapping[str, str], *, but: str) -> str:
        return "?" + urlencode({name: value for name, value in said.items() if name != but})

    def _told(self, name: str) -> str:
        """`Severity: High`."""
        field, value = self.fields[name], self.wanted[name]
        words = dict(field.widget.choices) if isinstance(field, forms.ChoiceField) else {}
        return f"{field.label}: {words.get(value, value)}"

    @property
    def in_sight(self) -> list[forms.BoundField]:
        return [self[name] for name in self.first]

    @property
    def folded(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name not in self.first]

    @property
    def is_unfolded(self) -> bool:
        """Something is set, or wrong, in what is folded away."""
        return any(field.data or field.errors for field in self.folded)


def _choice(label: str, any_of: str, choices: Iterable[tuple[str, str]]) -> forms.ChoiceField:
    offered = list(choices)
    allowed = ", ".join(value for value, _ in offered)
    wrong = f"There is no {label.lower()} %(value)s. There are: {allowed}."
    options = [("", any_of), *offered]
    return forms.ChoiceField(label=label, choices=options, required=False, error_messages={"invalid_choice": wrong})


def _text(label: str) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=200, widget=forms.TextInput({"type": "search"}))


def _phases() -> forms.ChoiceField:
    return _choice("Phase", "Any phase", [(str(phase.value), f"{phase.value} {phase.label}") for phase in Phase])


class Day(forms.DateField):
    """A day of the calendar, as the moment it begins, UTC."""

    def __init__(self, label: str) -> None:
        widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")
        wrong = {"invalid": "Write a day such as 2026-03-02."}
        super().__init__(label=label, required=False, input_formats=["%Y-%m-%d"], widget=widget, error_messages=wrong)

    def clean(self, value: Any) -> datetime | None:
        day = super().clean(value)
        return day and datetime.combine(day, time(), UTC)


class SearchForm(Query):
    """The list of incidents. Every filter asks for what each of its readers reads."""

    q = _text("Title")
    status = _choice("Status", "Any status", [("open", "Open"), *Status.choices])
    severity = _choice("Severity", "Any severity", Severity.choices)
    kind = _choice("Kind", "Any kind", Kind.choices)
    phase = _phases()
    system = _text("System")
    overdue = _choice("Next update", "Any", [("yes", "Overdue")])

    def __init__(self, data: Mapping[str, Any], *, viewer: object, now: datetime) -> None:
        super().__init__(data)
        self.viewer, self.now = viewer, now
        # `from` is a word of the language, so these two cannot be written like the others.
        self.fields |= {"from": Day("Detected from (UTC)"), "to": Day("Detected before (UTC)")}
        if teams := list(visible(Team.objects.order_by("name"), viewer).values_list("slug", "name")):
            self.fields["team"] = _choice("Team", "Any team", teams)

    def clean(self) -> dict[str, Any]:
        said = super().clean()
        since, until = said.get("from"), said.get("to")
        if since and until and until <= since:
            raise ValidationError("Detected before must be a later day than Detected from.")
        return said

    def matching(self, incidents: IncidentQuerySet) -> IncidentQuerySet:
        said = self.cleaned_data
        exact = {name: said[name] for name in ("severity", "kind", "phase") if said[name]}
        found = incidents.filter(_status(said["status"]), **exact)
        if said["q"]:
            found = found.filter(title__icontains=said["q"])
        if said["system"]:
            found = found.filter(affected_systems__icontains=whole_element(said["system"]))
        if said["overdue"]:
            found = found.exclude(status=Status.RESOLVED).filter(next_update_eta__lt=self.now)
        if said["from"]:
            found = found.filter(detected_at__gte=said["from"])
        if said["to"]:
            found = found.filter(detected_at__lt=said["to"])
        return self._paged(found, said.get("team"))

    def _paged(self, incidents: IncidentQuerySet, slug: str | None) -> IncidentQuerySet:
        if not slug:
            return incidents
        pages = visible(TeamPage.objects.filter(team__slug=slug, incident=OuterRef("pk")), self.viewer)
        return incidents.filter(Exists(pages))


def _status(wanted: str) -> Q:
    if wanted == "open":
        return ~Q(status=Status.RESOLVED)
    return Q(status=wanted) if wanted else Q()


def whole_element(name: str) -> str:
    """The name as a whole element of a JSON list; PostgreSQL keeps letters that SQLite's text escapes."""
    return json.dumps(name, ensure_ascii=connection.vendor == "sqlite")


#: Titles of the entries that milestones write (actions/communication.py); no other update begins so.
MILESTONE = "Milestone "


class LogFilter(Query):
    """The log of an incident. Its phases and audiences are known to those who read internal entries."""

    orders = frozenset({"order"})

    q = _text("Text")
    type = _choice("Type", "All types", EventType.choices)
    only = _choice("Show", "Everything", [("milestones", "Only milestones")])
    audience = _choice("Audience", "Any audience", [*Visibility.choices, ("both", "Both")])
    phase = _phases()
    order = forms.ChoiceField(choices=[("", ""), ("oldest", "Oldest first")], required=False, widget=forms.HiddenInput)

    def __init__(
        self, data: Mapping[str, Any], *, viewer: object, actors: Iterable[str], visits: Sequence[PhaseEntry] | None
    ) -> None:
        """`visits`: the phases the incident has been in; None for those who do not read them."""
        super().__init__(data)
        self.viewer, self.visits = viewer, visits or []
        self.fields["actor"] = _choice("Actor", "Anyone", [(name, name) for name in actors])
        if visits is None:
            del self.fields["audience"], self.fields["phase"]

    @property
    def is_oldest_first(self) -> bool:
        return self.is_valid() and self.cleaned_data["order"] == "oldest"

    def matching(self, events: EntryQuerySet) -> EntryQuerySet:
        said = self.cleaned_data
        exact = {name: said[name] for name in ("type", "actor") if said[name]}
        found = events.filter(_audience(said.get("audience")), **exact)
        if said["only"]:
            found = found.filter(type=EventType.UPDATE, title__startswith=MILESTONE)
        if said.get("phase"):
            found = found.filter(self._during(int(said["phase"])))
        return found.filter(self._saying(said["q"])) if said["q"] else found

    def _saying(self, text: str) -> Q:
        """What was written, or what a correction says instead."""
        said = Q(title__icontains=text) | Q(description__icontains=text)
        corrections = visible(TimelineEvent.objects.filter(said, corrects=OuterRef("pk")), self.viewer)
        return said | Q(Exists(corrections))

    def _during(self, phase: int) -> Q:
        """From each entry into the phase to the next move."""
        ends = [*(visit.entered_at for visit in self.visits[1:]), None]
        spans = Q(pk__in=())
        for visit, end in zip(self.visits, ends, strict=True):
            if visit.phase_number == phase:
                until = Q(occurred_at__lt=end) if end else Q()
                spans |= Q(occurred_at__gte=visit.entered_at) & until
        return spans


def _audience(wanted: str | None) -> Q:
    if wanted == "both":
        return Q(visibility=None)
    return Q(visibility=wanted) if wanted else Q()
