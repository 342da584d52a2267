"""RULES: how a notice reads, the same in a mail, in a chat and in a webhook. It gets what its reader may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incidents.lifecycle import Kind, Phase, Severity, Status
from incidents.outbox_rules import Event

#: Columns that a notice keeps, in the order they are told in.
SAID = (
    "id",
    "public_id",
    "title",
    "public_title",
    "kind",
    "severity",
    "status",
    "phase",
    "detected_at",
    "resolved_at",
    "next_update_eta",
    "affected_systems",
    "customer_impact_summary",
)


@dataclass(frozen=True, slots=True)
class Words:
    """One notice in the words of one audience."""

    subject: str
    headline: str
    text: str
    facts: tuple[tuple[str, str], ...]
    link: str

    @property
    def first_line(self) -> str:
        return f"{self.subject}: {self.headline}" if self.headline else self.subject


def words_of(event: str, title: str, text: str, said: Mapping[str, Any], link: str) -> Words:
    """`said` holds the columns that this audience reads, as the notice keeps them."""
    if event in (Event.MESSAGE, Event.TEST):
        return Words(title, "", text, (), link)
    kind = said.get("kind", Kind.REAL)
    drill = "" if kind in (Kind.REAL, Kind.BACKFILLED) else f"{Kind(kind).label.upper()}: "
    subject = said.get("title") or said.get("public_title") or "An incident"
    return Words(f"{drill}{subject}", title or Event(event).label, text, tuple(_facts(said)), link)


def _facts(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = [
        ("Severity", Severity(said["severity"]).label if said.get("severity") else ""),
        ("Status", Status(said["status"]).label if said.get("status") else ""),
        ("Phase", f"{said['phase']} of 8, {Phase(said['phase']).label}" if said.get("phase") else ""),
        ("What customers notice", said.get("customer_impact_summary") or ""),
        ("Affected", ", ".join(said.get("affected_systems") or ())),
        ("Detected", _time(said.get("detected_at"))),
        ("Resolved", _time(said.get("resolved_at"))),
        ("Next update", _time(said.get("next_update_eta"))),
    ]
    return [(label, value) for label, value in known if value]


def _time(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%-d %b %Y %H:%M} UTC" if text else ""
