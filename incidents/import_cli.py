"""`mim incident import`: histories of other systems, and timelines that people wrote."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import sys
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from django.db import transaction
from django.utils import timezone

from incidents import actions
from incidents.actions import Stamp
from incidents.cli_local import commander, incident_called
from incidents.cli_shared import PARTLY_DONE, As, AsJson
from incidents.intake import (
    Fate,
    FileRefused,
    Problem,
    googlecloud,
    history,
    postmortem,
    servicenow,
    snapshots,
    statuspage,
    volvo,
)
from incidents.intake.documents import MAX_BYTES
from incidents.intake.formats import Format, recognise
from incidents.intake.history import ImportReport
from incidents.intake.zones import named_zone
from incidents.lifecycle import Severity
from incidents.models import Source
from majorops.lib.errors import Invalid
from majorops.lib.manner import next_step, progress
from majorops.lib.times import SKEW, iso

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Import histories.")

STDIN = Path("-")
#: How a gzip file begins, and a zip archive.
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
#: These are read row by row, and may be larger than what is read at once.
LOGS = (Format.SERVICENOW, Format.VOLVO)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the person who imports says about the file."""

    zone: str
    instance: str
    severity: Severity | None
    resolved: str
    site: str

    def named_zone(self) -> tzinfo | None:
        return named_zone(self.zone) if self.zone else None

    def source(self, plain: str) -> str:
        """What its incidents are known under; the instance tells two systems of one kind apart."""
        if not self.instance:
            return plain
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", self.instance):
            raise Invalid("--instance takes up to 60 letters, digits, dots, dashes and underscores.", field="instance")
        return f"{plain}:{self.instance}"


@app.command("import")
def import_history(
    file: Annotated[Path, typer.Argument(help="The file; - reads stdin.")],
    format: Annotated[Format | None, typer.Option(help="What wrote it. Without it, the content tells.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report only, write nothing.")] = False,
    zone: Annotated[
        str,
        typer.Option(
            "--zone",
            "--timezone",
            metavar="ZONE",
            help="Of times that name none: Europe/Rome, UTC-8.",
        ),
    ] = "",
    instance: Annotated[str, typer.Option(help="Tells two systems with the same incident numbers apart.")] = "",
    into: Annotated[str, typer.Option(metavar="ID", help="Write the timeline into this incident (postmortem).")] = "",
    severity: Annotated[Severity | None, typer.Option(help="Of the incident (postmortem).")] = None,
    resolved: Annotated[
        str, typer.Option(metavar="TIME", help="When it was over (postmortem): a time, or last for its last entry.")
    ] = "",
    site: Annotated[str, typer.Option(help="Where the links of the file begin (google-cloud).")] = googlecloud.SITE,
    as_json: AsJson = False,
    acting: As = "",
) -> None:
    """Imports the history of another system, or a timeline. A second run adds only what is new.

    What is odd is told in one line each: repaired, kept (imported), skipped, or refused (left out).
    What each format becomes: docs/howto/import-history.md.

    \b
    Example: curl -o history.json https://www.githubstatus.com/api/v2/incidents.json
             mim incident import history.json
             mim incident import log.csv --format servicenow --zone Europe/Rome
             mim incident import - --format postmortem --zone US/Pacific < report.md
    """
    answers = Answers(zone, instance, severity, resolved, site)
    name = "stdin" if file == STDIN else file.name
    with closing(_opened(file)) as packed:
        try:
            opened = _unpacked(packed)
            format = format or _recognised(opened)
            if into:
                report = _import_into(into, opened, format, answers, acting=acting, dry_run=dry_run)
            else:
                count, records = _records(opened, format, answers)
                report = run_records(records, count, dry_run=dry_run)
        except FileRefused as error:
            error.message = f"{name}: {error.message}"
            raise
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise FileRefused(f"{name}: The gzip file is damaged or breaks off. Fetch it again.") from None
    _tell(report, name, format, as_json=as_json)


def _tell(report: ImportReport, name: str, format: Format, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": name, "format": format.value, **report.as_json()}, indent=2))
    else:
        for problem in report.problems:
            typer.echo(str(problem))
        typer.echo(f"{name}: {report}")
        if report.dry_run:
            typer.echo("Nothing written (--dry-run).")
    if not report.dry_run and (report.new or report.grown):
        next_step("mim kpi backfill --all")
    if report.count(Fate.REFUSED):
        raise typer.Exit(PARTLY_DONE)


def _opened(file: Path) -> BinaryIO:
    if file == STDIN:
        return io.BytesIO(sys.stdin.buffer.read(MAX_BYTES + 1))
    if not file.is_file():
        raise typer.BadParameter(f"There is no file {file}.")
    try:
        return file.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None


def _unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a gzip file; any other as it is. Raises FileRefused for a zip, of which a spreadsheet is one."""
    start = file.read(4)
    file.seek(0)
    if start == ZIP:
        raise FileRefused("It is a zip archive or a spreadsheet. Unpack it, or save it as CSV in UTF-8.")
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if start.startswith(GZIP) else file


def _recognised(file: BinaryIO) -> Format:
    """What the content is. Of a log that is larger than what is read at once, its beginning tells."""
    start = file.read(MAX_BYTES + 1)
    file.seek(0)
    return recognise(start[:MAX_BYTES] if len(start) > MAX_BYTES and start[:1] not in b"[{" else start)


def _records(file: BinaryIO, format: Format, answers: Answers) -> tuple[int, Iterable[history.Record]]:
    """How many records to expect, and the records. Raises FileRefused."""
    source = answers.source(format.value)
    match format:
        case Format.SERVICENOW:
            return servicenow.read(file, zone=answers.named_zone() or named_zone("UTC"), source=source)
        case Format.VOLVO:
            return volvo.read(file, source=source)
    content = file.read(MAX_BYTES + 1)
    match format:
        case Format.STATUSPAGE:
            found = list(statuspage.read(content))
        case Format.SNAPSHOTS:
            found = list(snapshots.read(content))
        case Format.GOOGLE_CLOUD:
            found = list(googlecloud.read(content, source=source, site=answers.site))
        case Format.POSTMORTEM:
            found = postmortem.read(
                content,
                zone=answers.named_zone(),
                severity=answers.severity,
                resolved=answers.resolved,
                source=source,
            )
    return len(found), found


def _import_into(
    into: str, file: BinaryIO, format: Format, answers: Answers, *, acting: str, dry_run: bool
) -> ImportReport:
    """A timeline into the log of an incident that is here."""
    if format != Format.POSTMORTEM:
        raise Invalid("--into takes a timeline: --format postmortem.", field="into")
    incident, now = incident_called(into), timezone.now()
    found = postmortem.timeline(file.read(MAX_BYTES + 1), answers.named_zone())
    report = ImportReport(dry_run=dry_run, problems=list(found.problems))
    entries = [entry for entry in found.entries if entry.at <= now + SKEW]
    for entry in found.entries:
        if entry not in entries:
            sentence = f"{iso(entry.at)} lies in the future."
            report.problems.append(Problem(Fate.REFUSED, entry.title[:40], sentence))
    stamp = Stamp(by=commander(acting), at=now, now=now, source=Source.IMPORT, name=postmortem.SOURCE)
    with transaction.atomic():
        report.entries = actions.add_past_entries(incident, entries, stamp=stamp)
        transaction.set_rollback(dry_run)
    report.grown, report.same = int(report.entries > 0), int(report.entries == 0)
    report.open = int(incident.is_open)
    return report


def run_records(records: Iterable[history.Record], count: int, *, dry_run: bool) -> ImportReport:
    """The import, telling on stderr how far it is."""
    places = itertools.count(1)
    with progress("Importing", total=count) as advance:
        return history.run_import(
            records, now=timezone.now(), dry_run=dry_run, progress=lambda: advance(next(places), count)
        )
