"""A pack in one look, as text and as data: each KPI with its value, or with what is missing for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kpis.packs.reading import Opened, Row
from majorops.lib.errors import DomainError
from majorops.lib.times import iso

_NAME, _VALUE, _COUNT, _EVIDENCE = 34, 16, 7, 10


class NotInUse(DomainError):
    """This pack is not installed."""

    code = "pack_not_installed"
    status = 404


def summarised(told: Opened) -> dict[str, Any]:
    """The whole pack as plain data. Raises NotInUse."""
    if told.install is None:
        raise NotInUse(f"{told.pack.title} is not installed. Next: mim pack install {told.pack.slug}")
    return {
        "pack": told.pack.slug,
        "title": told.pack.title,
        "startedOn": told.install.started_on.isoformat(),
        "summary": told.summary,
        "groups": [
            {"title": section.group.title, "kpis": [_kpi(row) for row in section.rows]} for section in told.sections
        ],
    }


def _kpi(row: Row) -> dict[str, Any]:
    figure = row.figure
    return {
        "kpi": row.kpi.slug,
        "name": row.kpi.name,
        "value": row.value,
        "units": row.kpi.units,
        "said": figure.value,
        "n": figure.n,
        "window": figure.window,
        "at": iso(figure.at),
        "evidence": figure.evidence,
        "reasons": list(figure.reasons),
        "missing": list(row.missing),
        "targets": list(row.targets),
        "state": row.state,
        "why": "" if figure.has_value else _why(row),
    }


def _why(row: Row) -> str:
    if row.missing:
        return f"never received: {', '.join(row.missing)}"
    return row.figure.why or " ".join(row.figure.reasons)


def text(content: Mapping[str, Any]) -> str:
    """One line for each KPI, under the title of its group."""
    return "\n".join(_lines(content))


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    yield f"{content['title']}, since {content['startedOn']}: {content['summary']}"
    for group in content["groups"]:
        if group["kpis"]:
            yield f"\n=== {group['title'].upper()} ==="
            yield from map(_line, group["kpis"])


def _line(kpi: Mapping[str, Any]) -> str:
    told = kpi["why"] or _judged(kpi)
    count = f"n={kpi['n']}"
    line = f"{kpi['name']:{_NAME}} {kpi['said']:>{_VALUE}}  {count:{_COUNT}} {kpi['evidence']:{_EVIDENCE}} {told}"
    return line.rstrip()


def _judged(kpi: Mapping[str, Any]) -> str:
    """Whether the target that holds is met; before one holds, what is to come."""
    if kpi["state"] in ("met", "at_risk", "missed"):
        return str(kpi["state"]).replace("_", " ")
    return f"target {', '.join(kpi['targets'])}" if kpi["targets"] else ""
