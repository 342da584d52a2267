"""KPIs as files: CSV that no spreadsheet runs, Markdown to quote, and the JSON of a scorecard.

No value is an empty cell or null, with the reason beside it; never 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpResponse

from kpis.models import KpiObservation
from kpis.reading import Catalogued, Shown, VersionShown
from kpis.scorecards import Card, Scorecard
from majorops.lib.times import iso

#: A spreadsheet takes a cell that begins so for a formula.
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")
CATALOGUE = (
    "slug", "name", "description", "formula", "units", "targets", "data_sources", "visibility", "owner",
    "review_cadence", "last_reviewed_at", "review_due_at", "status", "version", "evidence", "value", "reason", "n",
    "window", "timestamp",
)  # fmt: skip
FIGURES = ("kpi", "group", "window", "value", "units", "reason", "n", "median", "p90", "evidence", "timestamp")
WEEKS = ("kpi", "group", "week", "value", "units", "n")


def file(text: str, kind: str, name: str) -> HttpResponse:
    """An answer that a browser saves under this name."""
    response = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def cell(value: object) -> object:
    """A value as a cell: numbers as they are, text made harmless, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_RUNS) else text


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Any rows as CSV, each cell made harmless."""
    return _csv(columns, rows)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(columns)
    lines.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return written.getvalue()


# --- Definitions ---


def catalogue_csv(kpis: Iterable[Catalogued], figures: Mapping[str, Sequence[KpiObservation]]) -> str:
    """One row per definition, with its newest headline figure."""
    return _csv(CATALOGUE, (_row(kpi, figures[kpi.definition.slug][0]) for kpi in kpis))


def _row(kpi: Catalogued, figure: KpiObservation) -> dict[str, object]:
    definition = kpi.definition
    own = ("slug", "name", "description", "formula", "units", "visibility", "owner", "review_cadence", "status")
    return {
        **{name: getattr(definition, name) for name in own},
        "targets": "; ".join(map(str, kpi.targets)),
        "data_sources": "; ".join(kpi.sources),
        "last_reviewed_at": iso(definition.last_reviewed_at),
        "review_due_at": iso(definition.review_due_at),
        "version": definition.current_version,
        "evidence": figure.evidence,
        "value": figure.value,
        "reason": kpi.headline.why,
        "n": figure.n,
        "window": figure.window,
        "timestamp": iso(figure.timestamp),
    }


def figures_csv(figures: Iterable[KpiObservation]) -> str:
    """One row per group and window of one KPI."""
    return _csv(FIGURES, map(_figure, figures))


def _figure(figure: KpiObservation) -> dict[str, object]:
    same = ("window", "value", "units", "reason", "n", "median", "p90", "evidence")
    group = "; ".join(f"{name}={value}" for name, value in sorted(figure.dims.items()))
    when = iso(figure.timestamp)
    return {"kpi": figure.kpi_id, "group": group, "timestamp": when, **{name: getattr(figure, name) for name in same}}


def catalogue_markdown(kpis: Sequence[Catalogued]) -> str:
    """A table to paste into a document."""
    columns = ("KPI", "Value", "n", "Target", "Evidence", "Owner", "Review", "Visible to", "Version")
    rows = [
        (
            f"{kpi.definition.name} (`{kpi.definition.slug}`)",
            _said(kpi.headline),
            kpi.headline.n,
            ", ".join(map(str, kpi.targets)) or "none",
            kpi.headline.evidence,
            kpi.definition.owner,
            kpi.review,
            kpi.definition.get_visibility_display(),
            kpi.definition.current_version,
        )
        for kpi in kpis
    ]
    return "# KPIs\n\n" + _table(columns, rows)


def definition_markdown(kpi: Catalogued, words: str, history: Iterable[VersionShown]) -> str:
    """One definition with all its documented fields."""
    definition = kpi.definition
    facts = (
        ("Slug", f"`{definition.slug}`"), ("Description", definition.description),
        ("Formula", f"`{definition.formula}`"), ("What runs", words or "Nothing runs yet."),
        ("Units", definition.units), ("Targets", ", ".join(map(str, kpi.targets)) or "none"),
        ("Data sources", ", ".join(kpi.sources) or "none"),
        ("Visible to", definition.get_visibility_display()), ("Owner", definition.owner),
        ("Review", f"{definition.get_review_cadence_display()}, {kpi.review}"),
        ("Version", definition.current_version), ("Newest value", _said(kpi.headline)),
        ("n", kpi.headline.n), ("Evidence", kpi.headline.evidence),
    )  # fmt: skip
    versions = [(one.version, f"{one.at:%Y-%m-%d}", one.by, one.reason) for one in history]
    text = f"# {_flat(definition.name)}\n\n" + _table(("Field", "Value"), facts)
    return text + "\n## Versions\n\n" + _table(("Version", "Day", "By", "Reason"), versions)


def _said(figure: Shown) -> str:
    return figure.value if figure.has_value else f"{figure.value} ({figure.why})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_flat(each) for each in line)} |\n" for line in lines)


def _flat(value: object) -> str:
    """Text that stays in its cell."""
    return " ".join(str(value).split()).replace("|", r"\|")


# --- Scorecards ---


def weeks_csv(card: Card) -> str:
    """The weeks of one chart; a week without a value is an empty cell."""
    about = {"kpi": card.kpi.slug, "group": card.group, "units": card.kpi.units}
    return _csv(WEEKS, ({**about, "week": week.monday, "value": week.raw, "n": week.n} for week in card.weeks))


def scorecard(card: Scorecard) -> dict[str, Any]:
    """The scorecard as the API gives it."""
    return {
        "name": card.name.value,
        "window": f"P{card.days}D",
        "counts": card.counts,
        "total": card.total,
        "cards": [_card(one) for one in card.cards],
    }


def _card(card: Card) -> dict[str, Any]:
    figure, change = card.figure, card.change
    return {
        "kpi": card.kpi.slug,
        "name": card.kpi.name,
        "dims": dict(card.dims),
        "statistic": card.statistic or None,
        "value": card.value,
        "units": card.kpi.units,
        "reason": figure.why or None,
        "n": figure.n,
        "target": figure.target or None,
        "targetState": card.state,
        "evidence": figure.evidence,
        "reasons": list(figure.reasons),
        "change": {
            "words": change.words,
            "arrow": change.arrow or None,
            "before": change.before,
            "beforeN": change.before_n,
        },
        "asOf": iso(figure.at),
        "observation": figure.id or None,
        "weeks": [{"week": week.monday, "value": week.raw, "n": week.n} for week in card.weeks],
    }
