"""How an incident goes on, ends, and begins again."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms

from incidents.forms.core import Form, Happened
from incidents.forms.fields import Prose
from incidents.lifecycle import Phase, Status, allowed_moves
from incidents.models import Incident


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
