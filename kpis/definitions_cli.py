"""`mim kpi export | import | diff | validate | preview`: definitions as files, for people who keep them in git."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpis.errors import KpiNotFound
from majorops.lib.errors import Invalid
from majorops.lib.manner import hint, next_step, shown
from majorops.lib.terminal import remote_too

if TYPE_CHECKING:
    from kpis.actions import Running
    from kpis.cli_port import Document
    from kpis.exchange import Planned
    from kpis.models import KpiDefinition
    from kpis.preview import Compared
    from kpis.targets import Target

#: The exit code of a check that found something, as opposed to one that failed.
FOUND = 8
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


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
    from accounts import audit
    from kpis.exchange import document_of, to_yaml
    from kpis.models import KpiDefinition

    chosen = [_found(slug) for slug in kpi] if kpi else list(KpiDefinition.objects.order_by("slug"))
    if form != "yaml":
        _export_for(form, chosen, folder)
        return
    if folder is None:
        raise Invalid("Name the folder for the files, e.g. mim kpi export definitions/")
    folder.mkdir(parents=True, exist_ok=True)
    for definition in chosen:
        (folder / f"{definition.slug}.yaml").write_text(to_yaml(document_of(definition)), encoding="utf-8")
    audit.record(audit.Action.EXPORT, after={"kpi_definitions": [each.slug for each in chosen], "format": "yaml"})
    typer.echo(f"{len(chosen)} definition{'' if len(chosen) == 1 else 's'} written to {folder}.")
    next_step(f"mim kpi import {folder} --dry-run")


def _export_for(form: str, chosen: list[KpiDefinition], file: Path | None) -> None:
    """What another tool reads, to a file or to stdout."""
    from accounts import audit
    from kpis.monitoring.formats import FORMATS

    if form not in FORMATS:
        raise Invalid(f"The formats are yaml, {', '.join(FORMATS)}.", field="--format")
    text = FORMATS[form]([each.slug for each in chosen])
    audit.record(audit.Action.EXPORT, after={"kpi_definitions": [each.slug for each in chosen], "format": form})
    if file is None:
        typer.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    typer.echo(f"Written to {file}.")


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
    from django.utils import timezone

    from kpis.actions import Editor
    from kpis.exchange import commit, plan

    planned = plan(_read(source))
    for each in planned:
        typer.echo(_line(each))
    if dry_run:
        typer.echo("Nothing was saved (--dry-run).")
        raise typer.Exit(FOUND if any(each.error for each in planned) else 0)
    told = reason or f"Imported from {source.name}"
    for line in commit(planned, Editor(None, timezone.now()), reason=told, publish_too=publish):
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
    from kpis.exchange import State, plan

    planned = plan(_read(source) if source else _stored())
    wrong = [each for each in planned if each.state is State.ERROR]
    if as_json:
        told = [{"kpi": each.slug, "state": str(each.state), "error": each.error or None} for each in planned]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for each in wrong:
            typer.echo(_line(each))
        typer.echo(f"{len(planned) - len(wrong)} of {len(planned)} are right.")
    if wrong:
        raise typer.Exit(FOUND)


def _stored() -> list[Any]:
    from kpis.exchange import documents_of
    from kpis.models import KpiDefinition

    return [each.content() for each in documents_of(KpiDefinition.objects.order_by("slug"))]


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
    from django.utils import timezone

    from kpis.cli_local import operator
    from kpis.preview import preview as compare

    definition, running, targets = _drafted(slug, file)
    if definition.is_personal:
        raise Invalid(f"{slug} measures single people. Their figures are shown to nobody, here neither.")
    found = compare(definition, running, targets, viewer=operator(), now=timezone.now())
    rows = [_compared(each) for each in (*found.totals, *found.subjects)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{slug} as of {shown(found.as_of, seconds=False)}, {found.rows_read:,} rows read")
    for row in rows:
        typer.echo(_beside(row).rstrip())
    hint(f"Nothing written. {len(found.turned)} would turn. Next: {_to_take_it(slug, file)}")


def _drafted(slug: str, file: Path | None) -> tuple[KpiDefinition, Running, Sequence[Target]]:
    """What is to be tried: of the file, or the draft that waits. Raises KpiNotFound, Invalid."""
    from kpis.actions import draft_of, running_of
    from kpis.exchange import document
    from kpis.models import KpiDefinition

    if file is None:
        definition = _found(slug)
        draft = draft_of(definition)
        if draft is None:
            raise Invalid(f"{slug} has no draft. Save one in /admin/, or name a file: --file {slug}.yaml", field="file")
        return definition, running_of(draft), list(definition.targets.all())
    told = [each for each in map(document, _read(file)) if each.slug == slug]
    if not told:
        raise Invalid(f"{file} holds no definition of {slug}.", field="file")
    definition = KpiDefinition.objects.filter(pk=slug).first() or KpiDefinition(slug=slug)
    for name, value in told[0].described.items():
        setattr(definition, name, value)
    return definition, told[0].running, told[0].targets


def _compared(each: Compared) -> dict[str, Any]:
    sides = {
        name: {"value": side.value, "rows": side.rows, "reason": side.reason, "state": side.state and str(side.state)}
        for name, side in (("now", each.now), ("draft", each.draft))
    }
    about = {"label": each.label, "window": each.window, "dims": dict(each.dims)}
    return {**about, **sides, "delta": each.delta, "turns": each.turns}


def _beside(row: dict[str, Any]) -> str:
    group = " ".join(f"{name}={value}" for name, value in row["dims"].items()) if row["window"] else ""
    about = row["label"] or f"{row['window']} {group}".strip()
    now, draft = _side(row["now"]), _side(row["draft"])
    return f"{about[:44]:<44} {now:>20} → {draft:<20} {'turns' if row['turns'] else ''}"


def _side(side: dict[str, Any]) -> str:
    if side["value"] is None:
        return str(side["reason"] or "no value")
    return f"{side['value']:.1f} {side['state'] or ''}".strip()


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


def _line(planned: Planned) -> str:
    if planned.error:
        return f"{planned.slug}: error: {planned.error}"
    names = ", ".join(change.name for change in planned.changes) if planned.state == "changed" else ""
    return f"{planned.slug}: {planned.state}{f' ({names})' if names else ''}"


def _found(slug: str) -> KpiDefinition:
    from kpis.cli_port import by_slug
    from kpis.models import KpiDefinition

    found = KpiDefinition.objects.filter(slug=slug).first()
    if found is None:
        raise KpiNotFound(by_slug(slug, KpiDefinition.objects.values_list("slug", flat=True)))
    return found


def _version(versions: list[Document], number: str) -> Document:
    for version in versions:
        if _number(version) == number.removeprefix("v"):
            return version
    raise KpiNotFound(f"There is no version {number}; there are {', '.join(map(_number, versions))}.")
