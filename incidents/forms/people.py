"""Who is called, who came, and who holds a role."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from incidents.forms.core import Happened
from incidents.lifecycle import CommandRole
from majorops.lib.ulid import parse_ulid
from teams.models import Team


class PageForm(Happened):
    """The team by name, alias, slug or id; the browser suggests those that can be called."""

    team = forms.CharField(
        max_length=80,
        label="Team",
        widget=forms.TextInput({"list": "known-teams", "autocomplete": "off", "placeholder": "Type a name"}),
        error_messages={"required": "Choose a team."},
    )
    contact_name = forms.CharField(
        max_length=200,
        required=False,
        label="Contact",
        help_text="A member by name or e-mail, or any text. Empty: the team's on-call contact.",
        widget=forms.TextInput({"list": "people", "autocomplete": "off"}),
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
    """The team is not needed after all, or never was."""

    reason = forms.CharField(
        max_length=300,
        required=False,
        label="Why is it not needed?",
        widget=forms.TextInput({"placeholder": "Why is it not needed?"}),
    )


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
