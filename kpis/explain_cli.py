"""`mim kpi why`: why a number is what it is, on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from incidents import words
from kpis.cli_port import Document, kpis
from kpis.reading import with_unit
from kpis.reasons import about_in_words, adds_in_words, others_in_words, sum_in_words
from majorops.lib.errors import Invalid
from majorops.lib.terminal import remote_too


@remote_too
def explain_one(
    slug: Annotated[str, typer.Argument(help="The KPI, e.g. mttr.")],
    incident: Annotated[str | None, typer.Option("--incident", help="The value of this incident.")] = None,
    observation: Annotated[str | None, typer.Option("--observation", help="This stored value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, as the API gives it.")] = False,
) -> None:
    """The rows behind a value: what each adds, what was left out and why. Default: the newest overall figure.

    Example: mim kpi why mttr
    """
    if incident and observation:
        raise Invalid("Name an incident or an observation, not both.")
    found = kpis().why(slug, incident or "", observation or "")
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for line in told(found):
            typer.echo(line)


def told(found: Document) -> Iterator[str]:
    """An explanation, line by line."""
    units = found["units"]
    value, about = with_unit(found["value"], units), _about(found)
    yield f"{found['kpi']} v{found['definitionVersion']}  {value}  {about}  n={found['n']}"
    yield found["formula"]
    yield f"{found['evidence']}: {' '.join(each['words'] for each in found['evidenceReasons']) or 'no doubt'}"
    yield from (f"! {sentence}" for sentence in (found["problem"], *found["changes"]) if sentence)
    yield from (f"  + {_adds(row['adds'], units):>12}  {row['label']}" for row in found["used"]["rows"])
    yield from (_part(part, units) for part in found["parts"])
    yield from filter(None, [_sum(found)])
    yield from (f"  - {row['reason'] or '':<28}  {row['label']}" for row in found["leftOut"]["rows"])
    for rows in (found["used"], found["leftOut"]):
        yield from (f"  {sentence}" for sentence in _others(rows, units))


def _about(found: Document) -> str:
    return about_in_words(found["subject"].partition(":")[0], found["dims"], found["window"] or "")


def _adds(adds: float | None, units: str) -> str:
    return "" if adds is None else adds_in_words(adds, units)


def _part(part: Document, units: str) -> str:
    shift = f"{part['shiftDays']} days before" if part["shiftDays"] else ""
    adds = "" if part["adds"] is None else with_unit(part["adds"], units)
    return f"  + {adds:>12}  {part['kpi'] or ''} {words.number(part['value'])} {shift}".rstrip()


def _sum(found: Document) -> str:
    return sum_in_words(found["total"], found["units"], rows=found["used"]["total"], of_parts=bool(found["parts"]))


def _others(rows: Document, units: str) -> list[str]:
    pairs = (("notReadable", "not for you to read"), ("notListed", "not listed here"))
    return [others_in_words(rows[name], why, rows[f"{name}Adds"], units) for name, why in pairs if rows[name]]
