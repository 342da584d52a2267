"""What the files of a pack say. They are data: nothing in them runs, and what is wrong in one is told by its name.

<pack>/pack.yaml        title, programme, checklists, the case study
<pack>/kinds.yaml       fact kinds of this pack alone; shared/kinds.yaml holds those of several
<pack>/01-*.yaml ...    definitions, a file for each group, in the order of the page
<pack>/tables.yaml      tables that show several KPIs side by side
<pack>/claims.yaml      figures that a document printed, with what speaks against them
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from kpis.exchange import read_ours
from kpis.facts.kinds import Kind
from kpis.formulas import references_in
from kpis.silence import FACT, sources_in
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import near_match

FOLDER = Path(__file__).parent
SHARED = "shared"
#: What an entry says beside the definition itself.
_BESIDE = ("row", "targets", "source_says", "next")


class NoSuchPack(DomainError):
    """There is no such pack."""

    code = "unknown_pack"
    status = 404


@dataclass(frozen=True, slots=True)
class Entry:
    """One KPI of a pack. `row` is its number in the inventory; `says` is how its source calls the evidence."""

    row: int
    slug: str
    told: Mapping[str, Any]
    targets: tuple[Mapping[str, Any], ...]
    says: str
    next: str

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.told["spec"]

    def definition(self, start: date) -> dict[str, Any]:
        """As kpis/exchange.py reads it, for a programme that begins on that day."""
        return {**self.told, "targets": [dated(target, start) for target in self.targets]}


@dataclass(frozen=True, slots=True)
class Group:
    slug: str
    title: str
    about: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure that a document prints."""

    kpi: str
    value: float
    on: date
    printed: str
    contradiction: str


@dataclass(frozen=True, slots=True)
class Checklist:
    """Things of one sort that are done one by one; each that is done is a fact."""

    title: str
    type: str
    kind: str
    attributes: Mapping[str, str]
    items: Mapping[str, str]
    celebration: str = ""
    due: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the programme."""

    first: str
    last: str
    title: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseStudy:
    title: str
    challenge: str
    solution: str
    kpis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `{key}` in the KPI and the groups stands for the key of the row."""

    title: str
    kpi: str
    dims: Mapping[str, str]
    #: value | targets
    show: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: a key that the columns build on, a KPI of its own, or columns that it alone fills otherwise."""

    title: str
    key: str = ""
    kpi: str = ""
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """KPIs side by side. `kind`: cells | ladder | steps | days | weeks."""

    slug: str
    title: str
    about: str
    kind: str
    rows: tuple[TableRow, ...]
    columns: tuple[Column, ...]
    weights_of: str = ""
    #: For steps: the type of the checklists.
    type: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    slug: str
    title: str
    about: str
    groups: tuple[Group, ...]
    kinds: tuple[Kind, ...]
    sorts: Mapping[str, Mapping[str, Any]]
    checklists: tuple[Checklist, ...]
    roadmap: tuple[Step, ...]
    printed: tuple[Printed, ...]
    case_study: CaseStudy | None
    tables: tuple[Table, ...] = ()

    @property
    def entries(self) -> Iterator[Entry]:
        return (entry for group in self.groups for entry in group.entries)

    @property
    def in_order(self) -> list[Entry]:
        """Parts before what is made of them."""
        known = {entry.slug: entry for entry in self.entries}
        return sorted(known.values(), key=lambda entry: _depth(entry, known))


def _depth(entry: Entry, known: Mapping[str, Entry]) -> int:
    parts = [known[slug] for slug in references_in(entry.spec) if slug in known]
    return 1 + max((_depth(part, known) for part in parts), default=0)


@cache
def slugs() -> tuple[str, ...]:
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/pack.yaml")))


def every() -> list[Pack]:
    return [pack(slug) for slug in slugs()]


@cache
def pack(slug: str) -> Pack:
    """The pack of that name. Raises NoSuchPack."""
    if slug not in slugs():
        raise NoSuchPack(f"There is no pack {slug[:60]!a}. {near_match(slug, slugs())}")
    folder = FOLDER / slug
    (told,) = _read(folder / "pack.yaml")
    groups = tuple(_group(file) for file in sorted(folder.glob("[0-9]*.yaml")))
    study = told.get("case_study")
    return Pack(
        slug=slug,
        title=told["title"],
        about=told["about"],
        groups=groups,
        kinds=_kinds(folder, groups),
        sorts=told.get("subjects", {}),
        checklists=tuple(Checklist(**each) for each in told.get("checklists", ())),
        roadmap=tuple(Step(each["from"], each["to"], each["title"], tuple(each["tasks"])) for each in told["roadmap"]),
        printed=tuple(_printed(each) for each in _read(folder / "claims.yaml")),
        case_study=CaseStudy(**{**study, "kpis": tuple(study["kpis"])}) if study else None,
        tables=tuple(_table(each) for each in _read(folder / "tables.yaml")),
    )


def _read(file: Path) -> list[Any]:
    return read_ours(file.read_text(encoding="utf-8")) if file.exists() else []


def _group(file: Path) -> Group:
    (told,) = _read(file)
    slug = file.stem.partition("-")[2]
    return Group(slug, told["title"], told["about"], tuple(_entry(each, told["owner"]) for each in told["kpis"]))


def _entry(told: Mapping[str, Any], owner: str) -> Entry:
    definition = {"owner": owner, **{name: value for name, value in told.items() if name not in _BESIDE}}
    targets = tuple(told.get("targets", ()))
    return Entry(told["row"], told["slug"], definition, targets, told.get("source_says", ""), told.get("next", ""))


def _kinds(folder: Path, groups: tuple[Group, ...]) -> tuple[Kind, ...]:
    """Those of the pack, and of the shared ones those that it reads."""
    asked = {name for group in groups for entry in group.entries for name in sources_in(entry.spec)}
    shared = [told for told in _read(FOLDER / SHARED / "kinds.yaml") if f"{FACT}{told['key']}" in asked]
    return tuple(Kind(**told) for told in (*shared, *_read(folder / "kinds.yaml")))


def _table(told: Mapping[str, Any]) -> Table:
    beside = {name: value for name, value in told.items() if name not in ("rows", "columns", "kind")}
    columns = (
        Column(each["title"], each["kpi"], each.get("dims", {}), each.get("show", "value"))
        for each in told.get("columns", ())
    )
    rows = tuple(TableRow(**each) for each in told.get("rows", ()))
    return Table(kind=told.get("kind", "cells"), rows=rows, columns=tuple(columns), **beside)


def _printed(told: Mapping[str, Any]) -> Printed:
    on = date.fromisoformat(told["on"])
    return Printed(told["kpi"], float(told["value"]), on, told["printed"], told.get("contradiction", ""))


# --- Days of a programme ---


def dated(target: Mapping[str, Any], start: date) -> dict[str, Any]:
    """The target as it is stored: `due: week 4` is a day of the calendar."""
    due = target.get("due")
    rest = {name: value for name, value in target.items() if name != "due"}
    return {**rest, "dueOn": day_of(due, start).isoformat()} if due else rest


def day_of(due: str, start: date) -> date:
    """The day on which `week 4`, `day 90` or `month 3` of the programme is over. Raises Invalid."""
    word, _, count = due.partition(" ")
    if word not in ("day", "week", "month") or not count.isdigit():
        raise Invalid(f"{due!a} is no due date: write week 4, day 90 or month 3.", field="due")
    if word != "month":
        return start + timedelta(days=int(count) * (7 if word == "week" else 1))
    months = start.month - 1 + int(count)
    year, month = start.year + months // 12, months % 12 + 1
    return date(year, month, min(start.day, monthrange(year, month)[1]))
