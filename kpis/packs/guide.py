"""The page of docs/packs/ about one pack: what it shows, with pictures, and everything that it brings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kpis.facts.kinds import Kind
from kpis.packs.files import Group, Pack
from kpis.packs.inventory import entries, evidence_today
from kpis.target_maps import listed
from kpis.targets import in_short, stated

#: What there is to see of a pack: the name of a picture in docs/screens/, and what it shows.
PICTURES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "operator-control-centre": (
        ("centre", "Its KPIs, each with its evidence, and what is missing for it."),
        ("pulse", "Ops Pulse: the day at a glance. `/pulse/tile` gives the tile alone, to be put into another page."),
        ("anomalies", "Landing pages that behave oddly, and what was decided about each."),
        ("assign", "The page that writes the decision, which the response rate counts."),
    ),
    "engineering-impact": (
        ("pack", "Its KPIs by group: figure, targets, evidence and the reason for it."),
        ("pack-claims", "What can be claimed now, what with its doubts, and what must be measured first."),
        ("pack-roadmap", "Ninety days: what must be measured by when."),
        ("case-study", "Before and after. A change is told only where both ends have evidence."),
    ),
    "success-tracker": (
        ("tracker", "Its KPIs by phase. The health score shows what it is made of, and is empty while a part is."),
        ("tracker-tables", "Ladders, matrices and days side by side. A dash says what is missing."),
        ("tracker-checklists", "The milestones of each week and the steps of each team. A tick is a fact."),
        ("tracker-roadmap", "The twelve weeks with their days."),
    ),
}


def page(pack: Pack) -> str:
    """docs/packs/<pack>.md."""
    return "\n".join(_page(pack)) + "\n"


def _page(pack: Pack) -> Iterator[str]:
    command = f"mim pack document {pack.slug}"
    yield f"# {pack.title}\n\n{pack.about}\n"
    yield f"Made from the files under `kpis/packs/{pack.slug}/`; do not edit. Write it anew with `{command}`.\n"
    yield from _installing(pack)
    yield from _pictures(pack)
    yield "## KPIs\n"
    yield from (line for group in pack.groups for line in _group(group))
    yield from _kinds(pack.kinds)
    yield from _tables(pack)
    yield from _programme(pack)


def _installing(pack: Pack) -> Iterator[str]:
    first = "2026-03-02"
    yield "## Install it\n"
    yield f"```console\n$ mim pack install {pack.slug} --start {first}\n```\n"
    yield (
        "Due dates count from the first day of the programme. Without facts no KPI has a number: its page shows a dash "
        "and names what was never received."
    )
    if pack.printed:
        yield (
            "\n`--with-claims` enters the figures that its document printed, as claims with what speaks against them."
        )
    yield (
        f"\nInstalled again, it says what differs from its files. `mim pack diff {pack.slug}` shows it word by word, "
        f"`mim pack update {pack.slug} --reason ...` takes it over as new versions, and "
        f"`mim pack retire {pack.slug}` stops it all.\n"
    )


def _pictures(pack: Pack) -> Iterator[str]:
    yield "## What you see\n"
    for name, says in PICTURES[pack.slug]:
        yield f"{says}\n\n![{says}](../screens/{name}-light.png)\n"
        yield f"[dark](../screens/{name}-dark.png) · [phone](../screens/{name}-phone.png)\n"


def _group(group: Group) -> Iterator[str]:
    known = entries()
    yield f"### {group.title}\n\n{group.about}\n"
    yield "| KPI | What it is | Unit | Targets | In a new installation |\n|---|---|---|---|---|"
    for entry in group.entries:
        targets = "; ".join(_targets(entry.targets, str(entry.told["units"]))) or "none"
        told = (f"`{entry.slug}`", entry.told["description"], entry.told["units"], targets)
        yield f"| {' | '.join(map(_cell, told))} | {_cell(evidence_today(entry.slug, known))} |"
    yield ""


def _targets(targets: Iterable[Mapping[str, Any]], units: str) -> Iterator[str]:
    """`≥ 80 by week 4`."""
    for told in targets:
        (target,) = stated(listed([{name: value for name, value in told.items() if name != "due"}], units))
        yield in_short(target) + (f" by {told['due']}" if "due" in told else "")


def _kinds(kinds: Iterable[Kind]) -> Iterator[str]:
    yield "## Facts it reads\n"
    yield "Send them over the API, by webhook or from a file: [how](../howto/facts.md). A field in bold is required.\n"
    yield "| Kind | When one comes | Fields |\n|---|---|---|"
    for kind in sorted(kinds, key=lambda kind: kind.key):
        fields = ", ".join(_field(name, told) for name, told in kind.fields.items())
        yield f"| `{kind.key}` | {_cell(kind.description)} | {_cell(fields)} |"
    yield ""


def _field(name: str, told: Mapping[str, object]) -> str:
    shown = f"**{name}**" if told.get("required") else name
    words = told.get("enum")
    return f"{shown} ({', '.join(map(str, words))})" if isinstance(words, list) else shown


def _tables(pack: Pack) -> Iterator[str]:
    if pack.tables:
        yield "## Tables\n"
        yield from (f"- **{table.title}**: {table.about}" for table in pack.tables)
        yield ""


def _programme(pack: Pack) -> Iterator[str]:
    if pack.checklists:
        yield "## Checklists\n"
        yield from (f"- **{each.title}**: {'; '.join(each.items.values())}." for each in pack.checklists)
        yield ""
    yield "## The programme\n"
    yield from (f"- **{step.first} to {step.last}, {step.title}**: {'; '.join(step.tasks)}." for step in pack.roadmap)


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
