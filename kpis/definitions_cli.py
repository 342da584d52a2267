"""`mim kpi export | import | diff | validate`: definitions as files, for people who keep them in git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpis.errors import KpiNotFound
from majorops.lib.errors import Invalid

if TYPE_CHECKING:
    from kpis.exchange import Planned
    from kpis.models import KpiDefinition, KpiDefinitionVersion

#: The exit code of a check that found something, as opposed to one that failed.
FOUND = 8


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
        return
    told = reason or f"Imported from {source.name}"
    for line in commit(planned, Editor(None, timezone.now()), reason=told, publish_too=publish):
        typer.echo(line)


def diff(
    slug: str,
    old: Annotated[str, typer.Argument(help="A version, e.g. 3 or 3.1. Default: the one before the newest.")] = "",
    new: Annotated[str, typer.Argument(help="Another. Default: the newest.")] = "",
) -> None:
    """What differs between two versions of a definition, field by field.

    Example: mim kpi diff mttr 1 2
    """
    from kpis.actions import contents
    from kpis.differences import differences

    versions = list(_found(slug).versions.all())
    newer = _version(versions, new) if new else versions[0]
    older = _version(versions, old) if old else versions[min(1, len(versions) - 1)]
    typer.echo(f"{older} → {newer}  {newer.reason}")
    for change in differences(contents(older), contents(newer)):
        typer.echo(f"{change.name}:")
        for line in str(change).splitlines():
            typer.echo(f"  {line}")


def validate(
    source: Annotated[Path, typer.Argument(exists=True, help="A file (.yaml, .json, .csv, .zip) or a folder of them.")],
) -> None:
    """Checks definitions as an import would, and saves nothing. Exit code 8 if one is wrong.

    Example: mim kpi validate definitions/mttr.yaml
    """
    from kpis.exchange import State, plan

    planned = plan(_read(source))
    wrong = [each for each in planned if each.state is State.ERROR]
    for each in wrong:
        typer.echo(_line(each))
    typer.echo(f"{len(planned) - len(wrong)} of {len(planned)} are right.")
    if wrong:
        raise typer.Exit(FOUND)


def register(app: typer.Typer) -> None:
    """Puts the commands into `mim kpi`."""
    for name, command in (("export", export), ("import", import_files), ("diff", diff), ("validate", validate)):
        app.command(name)(command)


def _read(source: Path) -> list[Any]:
    from kpis.exchange import read

    endings = {".yaml", ".yml", ".json", ".csv", ".zip"}
    files = sorted(each for each in source.iterdir() if each.suffix in endings) if source.is_dir() else [source]
    if not files:
        raise Invalid(f"{source} has no file that ends with {', '.join(sorted(endings))}.")
    return [told for file in files for told in read(file.name, file.read_bytes())]


def _line(planned: Planned) -> str:
    if planned.error:
        return f"{planned.slug}: error: {planned.error}"
    names = ", ".join(change.name for change in planned.changes) if planned.state == "changed" else ""
    return f"{planned.slug}: {planned.state}{f' ({names})' if names else ''}"


def _found(slug: str) -> KpiDefinition:
    from kpis.models import KpiDefinition

    found = KpiDefinition.objects.filter(slug=slug).first()
    if found is None:
        raise KpiNotFound(f'No KPI is called "{slug}". See them with: mim kpi list')
    return found


def _version(versions: list[KpiDefinitionVersion], number: str) -> KpiDefinitionVersion:
    for version in versions:
        if version.number == number.removeprefix("v"):
            return version
    raise KpiNotFound(f"There is no version {number}; there are {', '.join(each.number for each in versions)}.")
