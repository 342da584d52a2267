"""`mim kpi export | import | diff | validate | preview`: definitions as files, for people who keep them in git."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpis.errors import KpiNotFound
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint, next_step, shown
from majorops.lib.terminal import remote_too
from majorops.lib.times import parse_time

if TYPE_CHECKING:
    from kpis.cli_port import Document

#: The exit code of a check that found something, as opposed to one that failed.
FOUND = 8
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@remote_too
def export(
    folder: Annotated[
        Path | None, typer.Argument(help="Where the files go; it is made if it is missing. A file for other formats.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="yaml, prometheus-rules, grafana, openslo, or sql-views.")
    ] = "yaml",
    kpi: Annotated[list[str] | None, typer.Option("--kpi", help="A slug, e.g. mttr. Repeatable. Default: all.")] = None,
) -> None:
    """Writes one YAML file per definition, in an order that git compares well; or what another tool reads.

    \b
    Examples:
      mim kpi export definitions/
      mim kpi export --format prometheus-rules rules.yml
    """
    from kpis.cli_port import kpis
    from kpis.exchange import yaml_of

    if form != "yaml":
        _export_for(form, kpi or [], folder)
        return
    if folder is None:
        raise Invalid("Name the folder for the files, e.g. mim kpi export definitions/")
    chosen = kpis().contents(kpi or [])
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for each in chosen:
            (folder / f"{each['slug']}.yaml").write_text(yaml_of(each), encoding="utf-8")
    typer.echo(f"{len(chosen)} definition{'' if len(chosen) == 1 else 's'} written to {folder}.")
    next_step(f"mim kpi import {folder} --dry-run")


def _export_for(form: str, slugs: list[str], file: Path | None) -> None:
    """What another tool reads, to a file or to stdout."""
    from kpis.cli_port import kpis
    from kpis.monitoring.formats import FORMATS

    if form not in FORMATS:
        raise Invalid(f"The formats are yaml, {', '.join(FORMATS)}.", field="--format")
    text = kpis().written_for(form, slugs)
    if file is None:
        typer.echo(text, nl=False)
        return
    with _writing(file):
        file.write_text(text, encoding="utf-8")
    typer.echo(f"Written to {file}.")


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Invalid(f"{place} cannot be written: {error.strerror}.", field="folder") from None


@remote_too
def import_files(
    source: Annotated[Path, typer.Argument(exists=True, help="A file (.yaml, .json, .csv, .zip) or a folder of them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, save nothing.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; the version history keeps it.")] = "",
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish changed formulas too; otherwise they wait as drafts.")
    ] = False,
) -> None:
    """Imports definitions, all or nothing. Importing what was exported changes nothing.

    With --dry-run it ends with exit code 8 if one is wrong.

    Example: mim kpi import definitions/ --dry-run
    """
    from kpis.cli_port import kpis

    definitions = _read(source)
    planned = kpis().planned(definitions)
    for each in planned:
        typer.echo(_line(each))
    if dry_run:
        typer.echo("Nothing was saved (--dry-run).")
        raise typer.Exit(FOUND if any(each["error"] for each in planned) else 0)
    told = reason or f"Imported from {source.name}"
    for line in kpis().imported(definitions, reason=told, publish=publish):
        typer.echo(line)
    next_step("mim kpi backfill --all" if publish else "mim kpi preview SLUG, and publish it in /admin/")


@remote_too
def diff(
    slug: Annotated[str, typer.Argument(help="The KPI, e.g. mttr.")],
    old: Annotated[str, typer.Argument(help="A version, e.g. 3 or 3.1. Default: the one before the newest.")] = "",
    new: Annotated[str, typer.Argument(help="Another. Default: the newest.")] = "",
    as_json: AsJson = False,
) -> None:
    """What differs between two versions of a definition, field by field.

    Example: mim kpi diff mttr 1 2
    """
    from kpis.cli_port import kpis
    from kpis.differences import differences

    versions = kpis().versions(slug)
    newer = _version(versions, new) if new else versions[0]
    older = _version(versions, old) if old else versions[min(1, len(versions) - 1)]
    before, after = _contents(older), _contents(newer)
    changes = differences(before, after)
    if as_json:
        told = [{"field": each.name, "old": before.get(each.name), "new": after.get(each.name)} for each in changes]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{slug} v{_number(older)} → {slug} v{_number(newer)}  {newer['reason']}")
    for change in changes:
        typer.echo(f"{change.name}:")
        for line in str(change).splitlines():
            typer.echo(f"  {line}")


def _number(version: Document) -> str:
    """`3`, or `3.1` for a change that left the numbers."""
    return f"{version['version']}.{version['minor']}" if version["minor"] else str(version["version"])


def _contents(version: Document) -> dict[str, object]:
    """Everything that it says, formula first."""
    return {**{name: version[name] for name in ("formula", "spec", "units")}, **version["snapshot"]}


@remote_too
def validate(
    source: Annotated[
        Path | None,
        typer.Argument(exists=True, help="A file (.yaml, .json, .csv, .zip) or a folder. Default: what is stored."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Checks definitions as an import would, and saves nothing. Exit code 8 if one is wrong.

    Example: mim kpi validate definitions/mttr.yaml
    """
    from kpis.cli_port import kpis

    planned = kpis().planned(_read(source) if source else kpis().contents(()))
    wrong = [each for each in planned if each["error"]]
    if as_json:
        told = [{name: each[name] for name in ("kpi", "state", "error")} for each in planned]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for each in wrong:
            typer.echo(_line(each))
        typer.echo(f"{len(planned) - len(wrong)} of {len(planned)} are right.")
    if wrong:
        raise typer.Exit(FOUND)


@remote_too
def preview(
    slug: Annotated[str, typer.Argument(help="The KPI, e.g. mttr.")],
    file: Annotated[
        Path | None,
        typer.Option("--file", exists=True, dir_okay=False, help="A definition in a file. Default: the saved draft."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Each figure as it is and as a draft would have it, and which targets would be met or missed. Saves nothing.

    \b
    Example: mim kpi preview mttr
             mim kpi preview mttr --file definitions/mttr.yaml
    """
    from kpis.cli_port import kpis

    found = kpis().previewed(slug, _definition_in(file, slug) if file else None)
    rows = [*found["totals"], *found["subjects"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{slug} as of {shown(parse_time(found['asOf'], field='asOf'), seconds=False)}, {found['rowsRead']:,} rows read"
    )
    for row in rows:
        typer.echo(_beside(row).rstrip())
    turned = sum(row["turns"] for row in rows)
    hint(f"Nothing written. {turned} would turn. Next: {_to_take_it(slug, file)}")


def _definition_in(file: Path, slug: str) -> dict[str, Any]:
    """What a file says of this KPI. Raises Invalid."""
    from kpis.exchange import document

    for told in _read(file):
        if document(told).slug == slug:
            return document(told).content()
    raise Invalid(f"{file} holds no definition of {slug}.", field="file")


def _beside(row: dict[str, Any]) -> str:
    group = " ".join(f"{name}={value}" for name, value in row["dims"].items()) if row["window"] else ""
    about = row["label"] or f"{row['window']} {group}".strip()
    now, draft = _side(row["now"]), _side(row["draft"])
    return f"{about[:44]:<44} {now:>20} → {draft:<20} {'turns' if row['turns'] else ''}"


def _side(side: dict[str, Any]) -> str:
    if side["value"] is None:
        return str(side["reason"] or "no value")
    return f"{side['value']:.1f} {side['targetState'] or ''}".strip()


def _to_take_it(slug: str, file: Path | None) -> str:
    return f"mim kpi import {file}" if file else f"publish it in /admin/, then mim kpi backfill --kpi {slug}"


COMMANDS: dict[str, Callable[..., None]] = {
    "export": export,
    "import": import_files,
    "diff": diff,
    "validate": validate,
    "preview": preview,
}


def register(app: typer.Typer) -> None:
    """Puts the commands into `mim kpi`."""
    for name, command in COMMANDS.items():
        app.command(name)(command)


def _read(source: Path) -> list[Any]:
    from kpis.exchange import read_all

    endings = {".yaml", ".yml", ".json", ".csv", ".zip"}
    files = sorted(each for each in source.iterdir() if each.suffix in endings) if source.is_dir() else [source]
    if not files:
        raise Invalid(f"{source} has no file that ends with {', '.join(sorted(endings))}.")
    return read_all((file.name, file.read_bytes()) for file in files)


def _line(planned: Document) -> str:
    if planned["error"]:
        return f"{planned['kpi']}: error: {planned['error']}"
    names = ", ".join(planned["changes"])
    return f"{planned['kpi']}: {planned['state']}{f' ({names})' if names else ''}"


def _version(versions: list[Document], number: str) -> Document:
    for version in versions:
        if _number(version) == number.removeprefix("v"):
            return version
    raise KpiNotFound(f"There is no version {number}; there are {', '.join(map(_number, versions))}.")
