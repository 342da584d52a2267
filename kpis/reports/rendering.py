"""RULES: a report as Markdown, from its frozen content alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kpis.reports.kinds import in_days

_STATES = {"met": "met", "at_risk": "at risk", "missed": "missed", "": ""}
COLUMNS = ("KPI", "Group", "Value", "Before", "Target", "", "n", "Evidence", "Definition")


def markdown(content: Mapping[str, Any]) -> str:
    """The same text for the file, the mail and the command line."""
    counts, incidents = content["counts"], content["incidents"]
    parts = [
        f"# {content['title']}",
        f"{in_days(*map(datetime.fromisoformat, (content['begins'], content['ends'])))}, "
        f"made {moment(content['made'])}.",
        f"Targets: {counts['met']} met, {counts['at_risk']} at risk, {counts['missed']} missed. "
        f"Without a value: {counts['unknown']}.",
        "## Incidents",
        f"{incidents['began']} began, {incidents['resolved']} were resolved.",
        table(
            ("Severity", "Began", "Resolved"),
            ((each["name"], each["began"], each["resolved"]) for each in incidents["by"]),
        ),
        "## KPIs",
        table(COLUMNS, map(_row, content["figures"])),
        *_unknown(content["figures"]),
        *_alerts(content["alerts"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(figure: Mapping[str, Any]) -> Sequence[object]:
    before = figure["before"]
    return (
        figure["name"],
        figure["group"],
        figure["said"],
        before["said"] if before else "",
        figure["target"],
        _STATES[figure["state"]],
        figure["n"],
        figure["evidence"],
        f"{figure['kpi']} v{figure['version']}",
    )


def _unknown(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why there is no number, for each that has none."""
    lines = [f"- {each['name']}: {each['why']}" for each in figures if each["value"] is None]
    return ["## Without a value", "\n".join(lines)] if lines else []


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"- {each['name']}: {each['times']} time{'' if each['times'] == 1 else 's'}" for each in alerts]
    return ["## Alerts that fired", "\n".join(lines)] if lines else []


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Empty where there are no rows."""
    lines = [" | ".join(_cell(value) for value in row) for row in rows]
    if not lines:
        return ""
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    return "\n".join(f"| {line} |" for line in [*head, *lines])


def _cell(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def moment(text: str) -> str:
    """`2026-03-02 14:00 UTC`."""
    return f"{text[:10]} {text[11:16]} UTC"
