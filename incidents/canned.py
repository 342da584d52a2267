"""RULES: words to begin with, for each phase and audience, with the holes filled as far as they are known. Pure.

A hole is {what}, {impact}, {severity}, {phase} or {next_update}. What nobody knows yet stays in square brackets for the
person to fill in; {next_update} stays as it is, and is filled with the promise when the text is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incidents.lifecycle import Phase
from majorops.lib.errors import Invalid


@dataclass(frozen=True, slots=True)
class Canned:
    """A text to pick. `form` is where it goes: an update, or the body of a milestone."""

    key: str
    form: str
    label: str
    text: str


#: What an administrator may write in braces, and what it becomes.
HOLES: dict[str, str] = {
    "what": "the affected systems, else the title",
    "impact": "the customer impact",
    "severity": "the severity",
    "phase": "the current phase",
    "next_update": "the time of the next update, when it is published",
}
NEXT_UPDATE = "{next_update}"
_HOLE = re.compile(r"\{([^{}]*)\}")

#: What the product comes with: phase: (form, label, text). Rows of CannedText; administrators change those.
DEFAULTS: dict[Phase, tuple[tuple[str, str, str], ...]] = {
    Phase.ALERT: (
        ("milestone", "We know", "We have been alerted to a problem with {what} and are looking into it."),
        ("update", "Calling teams", "We are calling the teams that look after {what}."),
    ),
    Phase.GATHER: (
        ("milestone", "Team assembling", "The team for {what} is coming together. We do not know the extent yet."),
        ("update", "What we need", "On the bridge: please bring recent changes to {what}, graphs and logs."),
    ),
    Phase.ASSESS: (
        ("milestone", "What we see", "{impact} Affected: {what}. The cause is not known yet."),
        ("update", "Extent", "The extent so far: [how many, where, since when]."),
    ),
    Phase.INITIAL: (
        (
            "milestone",
            "First words",
            "There is a problem with {what}. {impact} We are working on it. Next update: {next_update}.",
        ),
        ("update", "Not affected", "Not affected: [what still works]."),
    ),
    Phase.ISOLATION: (
        ("milestone", "Fault found", "We have found where the fault in {what} lies and are isolating it."),
        ("update", "Hypothesis", "We suspect [cause]. We test it by [how]; answer expected in [minutes] min."),
    ),
    Phase.MITIGATION: (
        ("milestone", "Fix under way", "A remedy for {what} is being applied. We expect improvement in [minutes] min."),
        ("update", "Step taken", "[Step] is done. Effect: [what we see]."),
    ),
    Phase.VALIDATION: (
        ("milestone", "Recovering", "{what} is working again for [share] of customers. We are watching it."),
        ("update", "Checks", "Checked and fine: [what]. Still to check: [what]."),
    ),
}


def default_texts() -> list[tuple[Phase, Canned]]:
    """What the product comes with, by phase."""
    return [
        (phase, Canned(f"{phase.name.lower()}-{form}", form, label, text))
        for phase, texts in DEFAULTS.items()
        for form, label, text in texts
    ]


def holes(*, title: str, systems: Sequence[str], impact: str, severity: str, phase: str) -> dict[str, str]:
    """What an incident puts into the holes of a text."""
    felt = impact.strip() or "Customers notice: [what]."
    return {
        "what": ", ".join(systems[:3]) or title,
        "impact": felt if felt[-1] in ".!?" else f"{felt}.",
        "severity": severity,
        "phase": phase,
    }


def fill(text: str, known: Mapping[str, str]) -> str:
    """The text with the holes filled that are known. What is in braces otherwise stays."""
    return _HOLE.sub(lambda hole: known.get(hole[1], hole[0]), text)


def check_holes(text: str) -> None:
    """Raises Invalid naming a hole that nothing fills."""
    strange = next((name for name in _HOLE.findall(text) if name not in HOLES), None)
    if strange is not None:
        allowed = ", ".join(f"{{{name}}}" for name in HOLES)
        raise Invalid(f"Nothing fills {{{strange}}}. There are {allowed}.", field="text", allowed=list(HOLES))
