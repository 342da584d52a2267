"""RULES: words to begin with, for each phase and audience, with the blanks filled as far as they are known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from incidents.lifecycle import Phase


@dataclass(frozen=True, slots=True)
class Canned:
    """A text to pick. `form` is where it goes: an internal or public update, or the body of a milestone."""

    key: str
    form: str
    label: str
    text: str


#: phase: (form, label, text). {what} is the systems, else the title; the person fills in what stands in brackets.
_TEXTS: dict[Phase, tuple[tuple[str, str, str], ...]] = {
    Phase.ALERT: (
        ("milestone", "We know", "We have been alerted to a problem with {what} and are looking into it."),
        ("update", "Calling teams", "We are calling the teams that look after {what}."),
    ),
    Phase.GATHER: (
        ("milestone", "Team assembling", "The team for {what} is coming together. We do not know the extent yet."),
        ("update", "What we need", "On the bridge: please bring recent changes to {what}, graphs and logs."),
    ),
    Phase.ASSESS: (
        ("milestone", "What we see", "Customers notice: [what]. Affected: {what}. The cause is not known yet."),
        ("update", "Extent", "The extent so far: [how many, where, since when]."),
    ),
    Phase.INITIAL: (
        ("milestone", "First words", "There is a problem with {what}. Customers notice: [what]. We are working on it."),
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


def texts_for(phase: Phase, *, title: str, systems: Sequence[str]) -> list[Canned]:
    """What fits the phase. None once it is over."""
    what = ", ".join(systems[:3]) or title
    return [
        Canned(f"{phase.name.lower()}-{form}", form, label, text.format(what=what))
        for form, label, text in _TEXTS.get(phase, ())
    ]
