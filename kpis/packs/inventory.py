"""The inventory of the source documents: each numbered row, and what stands for it here: docs/packs.md.

The page of one pack is made by kpis/packs/guide.py.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from kpis import health, self_measurement
from kpis.catalog import BUILT_IN
from kpis.facts.standard import EVERY_BUILT_IN
from kpis.formulas import references_in
from kpis.packs.files import FOLDER, Entry, every
from kpis.packs.sessions import OPENED
from kpis.silence import FACT, sources_in

#: Kinds that this platform itself can send: adapters and importers, the pages of the control centre, the checklists,
#: the sample of its own requests, and `mim health check`.
SENT_HERE = {kind.key for kind in EVERY_BUILT_IN} | {
    *(OPENED, "milestone.done", "team.formed"),
    *(self_measurement.KIND, health.KIND, "incident_detected", "incident_resolved"),
}
#: What formulas read beside facts.
_OWN = {"decisions", "subjects"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the inventory: a KPI (1 to 140) or an alert (AL1 to AL10)."""

    row: str
    name: str
    slugs: tuple[str, ...]
    #: Where it is shown when it is no KPI that is stored.
    page: str

    @property
    def is_alert(self) -> bool:
        return not self.row.isdigit()


@cache
def lines() -> tuple[Line, ...]:
    with (FOLDER / "inventory.csv").open(newline="", encoding="utf-8") as file:
        return tuple(
            Line(told["row"], told["name"], tuple(told["slugs"].split()), told["page"]) for told in csv.DictReader(file)
        )


def entries() -> dict[str, Entry]:
    """Every KPI of every pack by slug."""
    return {entry.slug: entry for pack in every() for entry in pack.entries}


def sources_of(entry: Entry, known: Mapping[str, Entry]) -> set[str]:
    """What the KPI reads, and what its parts read."""
    parts = [known[slug] for slug in references_in(entry.spec) if slug in known]
    return sources_in(entry.spec).union(*(sources_of(part, known) for part in parts))


def waits_for(entry: Entry, known: Mapping[str, Entry]) -> list[str]:
    """The fact kinds that nothing here sends: somebody must before there is a figure."""
    kinds = {name.removeprefix(FACT) for name in sources_of(entry, known) if name.startswith(FACT)}
    return sorted(kinds - SENT_HERE)


def evidence_today(slug: str, known: Mapping[str, Entry]) -> str:
    """How the KPI stands in an installation that only runs incidents."""
    if slug not in known:
        return "measured from incidents"
    entry = known[slug]
    if waiting := waits_for(entry, known):
        return f"PROPOSED: nobody sends {', '.join(waiting)}"
    if entry.spec["calc"]["kind"] == "reported":
        return "PROPOSED: stated by people only"
    sources = sorted(name.removeprefix(FACT) for name in sources_of(entry, known) - _OWN)
    return f"measured once {', '.join(sources)} comes in"


def document() -> str:
    """docs/packs.md."""
    return "\n".join(_document()) + "\n"


def _document() -> Iterator[str]:
    known = entries()
    yield "# Packs: every KPI of the source documents"
    yield ""
    yield "Made from the files under `kpis/packs/`; do not edit. Write it anew with `mim pack document`."
    yield ""
    yield from _counts(known)
    yield ""
    yield f"One page for each: {', '.join(f'[{pack.title.lower()}](packs/{pack.slug}.md)' for pack in every())}."
    yield ""
    yield "| Row | In the source | KPI | Computed as | Evidence in a new installation |"
    yield "|---|---|---|---|---|"
    for line in lines():
        if not line.is_alert:
            yield from _rows(line, known)
    yield ""
    yield "## Alerts"
    yield ""
    yield "| Row | In the source | KPI |"
    yield "|---|---|---|"
    yield from (f"| {line.row} | {line.name} | `{line.slugs[0]}` |" for line in lines() if line.is_alert)


def _counts(known: Mapping[str, Entry]) -> Iterator[str]:
    rows = [line for line in lines() if not line.is_alert]
    waiting = [slug for slug in known if evidence_today(slug, known).startswith("PROPOSED")]
    pages = sum(not line.slugs for line in rows)
    yield (
        f"{len(rows)} rows: {len(rows) - pages} are KPIs, {pages} are shown on a page and not stored. "
        f"{len(known)} KPIs come with packs, the others are built in. "
        f"{len(waiting)} of the packs' KPIs are PROPOSED until somebody sends their facts."
    )


def _rows(line: Line, known: Mapping[str, Entry]) -> Iterator[str]:
    if not line.slugs:
        yield f"| {line.row} | {line.name} | | shown live | {line.page} |"
    for slug in line.slugs:
        kind = known[slug].spec["calc"]["kind"] if slug in known else _built_in(slug)
        yield f"| {line.row} | {line.name} | `{slug}` | {kind} | {evidence_today(slug, known)} |"


def _built_in(slug: str) -> str:
    return next(str(each.spec["calc"]["kind"]) for each in BUILT_IN if each.slug == slug)
