"""`mim pack`: KPI systems that come as files, to look at, install and retire."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from django.utils import timezone

from kpis.actions import Editor
from kpis.definitions import RUNNING
from kpis.packs import files, install, standing
from kpis.packs.standing import State
from majorops.lib.errors import Invalid
from majorops.lib.manner import next_step
from majorops.lib.terminal import Listing, can_be_tried, listing

if TYPE_CHECKING:
    from kpis.packs.standing import Done

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Packs of KPIs: look, install, compare, retire.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
PackName = Annotated[str, typer.Argument(metavar="PACK", help="Its slug, e.g. success-tracker.")]


@app.command("list")
@listing
def list_packs() -> Listing:
    """Every pack, and since when it is installed.

    Example: mim pack list
    """
    found = [
        {"pack": pack.slug, "kpis": len(list(pack.entries)), "startedOn": str(row.started_on) if row else None}
        for pack in files.every()
        for row in [standing.in_force(pack)]
    ]
    return Listing(found, _pack_line, "One of them: mim pack show PACK")


def _pack_line(row: Mapping[str, Any]) -> str:
    since = f"installed, began {row['startedOn']}" if row["startedOn"] else "not installed"
    return f"{row['pack']:26} {row['kpis']:4} KPIs  {since}"


@app.command()
def show(pack: PackName, as_json: AsJson = False) -> None:
    """The KPIs of a pack by group, with their row in the inventory.

    Example: mim pack show engineering-impact
    """
    told = files.pack(pack)
    if as_json:
        typer.echo(json.dumps(_shown(told), indent=2, ensure_ascii=False))
        return
    typer.echo(f"{told.title}\n{told.about}")
    for group in told.groups:
        typer.echo(f"\n{group.title}")
        for entry in group.entries:
            typer.echo(f"  {entry.row:4} {entry.slug:34} {entry.spec['calc']['kind']:11} {entry.told['units']}")


def _shown(pack: files.Pack) -> dict[str, object]:
    groups = [
        {
            "title": group.title,
            "kpis": [{"row": each.row, "kpi": each.slug, "units": each.told["units"]} for each in group.entries],
        }
        for group in pack.groups
    ]
    return {"pack": pack.slug, "title": pack.title, "about": pack.about, "groups": groups}


@app.command()
@listing
def diff(pack: PackName) -> Listing:
    """What stands in the database otherwise than in the files. Nothing is written.

    Example: mim pack diff success-tracker
    """
    found = standing.compare(files.pack(pack), now=timezone.now())
    rows = [_told(each) | {"changes": _changes(each)} for each in found if each.state != "same"]
    return Listing(rows, lambda row: "\n    ".join((_line(row, pack), *row["changes"])), _summary(found))


def _changes(done: Done) -> list[str]:
    return [line for change in done.changes for line in f"{change.name}: {change}".splitlines()]


@app.command("install")
@can_be_tried
def install_pack(
    pack: PackName,
    start: Annotated[str, typer.Option(help="First day of the programme, e.g. 2026-03-02. Default: today.")] = "",
    with_claims: Annotated[
        bool, typer.Option("--with-claims", help="Enter the figures that its documents printed, as claims.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Installs a pack. What is there already stays; what differs from the files is told, and `update` takes it over.

    Example: mim pack install engineering-impact --start 2026-03-02
    """
    editor = Editor(None, timezone.now())
    found = install.install(files.pack(pack), editor, start=_day(start), with_claims=with_claims)
    if as_json:
        typer.echo(json.dumps([_told(each) for each in found]))
        return
    _tell(found, pack)
    next_step("mim kpi backfill --all")


@app.command()
@can_be_tried
def update(
    pack: PackName,
    only: Annotated[
        list[str] | None,
        typer.Argument(help="KPIs and kinds to take over alone, also if somebody changed them here."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; the version history keeps it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Takes over what the files of a pack say by now, as new versions. What somebody changed here stays unless named.

    Example: mim pack update engineering-impact --reason "Lead time counts merged requests only" --dry-run
    """
    editor = Editor(None, timezone.now())
    found = install.update(files.pack(pack), editor, reason=reason, only=only or ())
    if as_json:
        typer.echo(json.dumps([_told(each) for each in found if each.state != "same"]))
        return
    _tell(found, pack)
    next_step("mim kpi backfill --all")


@app.command()
@can_be_tried
def retire(
    pack: PackName, reason: Annotated[str, typer.Option(help="Why; the version history keeps it.")] = "Pack retired"
) -> None:
    """Retires every KPI of a pack. What is stored stays.

    Example: mim pack retire success-tracker --reason "The programme is over"
    """
    gone = install.remove(files.pack(pack), Editor(None, timezone.now()), reason=reason)
    typer.echo(f"{len(gone)} KPIs retired. Their fact kinds and figures stay.")
    next_step("mim pack list")


@app.command()
def document(pack: Annotated[str, typer.Argument(help="Everything about this pack.")] = "") -> None:
    """The table of every inventory row with its KPI, or the page of one pack, as Markdown.

    Example: mim pack document engineering-impact > docs/packs/engineering-impact.md
    """
    from kpis.packs import guide, inventory

    typer.echo(guide.page(files.pack(pack)) if pack else inventory.document(), nl=False)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("--start is a day, e.g. 2026-03-02.", field="start") from None


def _told(done: Done) -> dict[str, object]:
    return {"what": done.what, "key": done.key, "state": str(done.state), "fields": [one.name for one in done.changes]}


def _tell(found: list[Done], pack: str) -> None:
    for done in found:
        if done.state in (State.DIFFERS, State.RETIRED, State.OUTDATED, State.UPDATED):
            typer.echo(_line(_told(done), pack))
    typer.echo(_summary(found))


def _line(row: Mapping[str, Any], pack: str) -> str:
    is_computed_anew = row["what"] == "kpi" and any(name in RUNNING for name in row["fields"])
    becomes = {
        "differs": "; it stays as it is",
        "retired": "; it stays as it is",
        "outdated": f"; mim pack update {pack} takes it over",
        "updated": f"; recompute with mim kpi backfill --kpi {row['key']}" if is_computed_anew else "; done",
    }
    names = f" ({', '.join(row['fields'])})" if row["fields"] else ""
    return f"{row['what']} {row['key']}: {row['state']}{names}{becomes.get(row['state'], '')}"


def _summary(found: list[Done]) -> str:
    counts = Counter((done.what, str(done.state)) for done in found)
    return ", ".join(f"{count} {what}s {state}" for (what, state), count in sorted(counts.items())) + "."
