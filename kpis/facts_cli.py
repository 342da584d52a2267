"""`mim fact`: append facts, import files of them, and look at what came in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from django.utils import timezone

from incidents.moments import happened
from kpis.cli_port import kpis
from kpis.facts import deliveries, files, parked, registry, timelines
from kpis.facts.ingest import Report
from kpis.models import FactKind
from majorops.lib.errors import Invalid
from majorops.lib.manner import progress, zone
from majorops.lib.remote import DatabaseOnly, is_remote
from majorops.lib.terminal import Listing, can_be_tried, listing, remote_too
from majorops.lib.times import iso, to_millisecond

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Facts of other systems: append, import, look.")
#: Exit code: some records were refused, the others are in.
PARTLY_DONE = 7
BATCH = 2000
SHOWN = 20

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Source = Annotated[str, typer.Option("--source", help="Who says it; keys are told apart by it.")]


class Format(StrEnum):
    EVENTS = "events"
    JOURNAL = "journal"
    CSV = "csv"
    GIT_LOG = "git-log"
    DELIVERIES = "deliveries"
    TIMELINES = "timelines"


@app.command("send", hidden=True)
@app.command()
@can_be_tried
@remote_too
def append(
    kind: Annotated[str, typer.Argument(help="The fact kind, e.g. deployed.")],
    fields: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="The fields.")] = None,
    subject: Annotated[str, typer.Option(help="What it is about.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="When it happened: -7m, 14:02, a full time.")] = "",
    actor: Annotated[str, typer.Option(help="Who did it, as an alias.")] = "",
    key: Annotated[str, typer.Option(help="What makes it one.")] = "",
    source: Annotated[str, typer.Option("--source", help="Who says it. Default: cli; over the API the token.")] = "",
    as_json: AsJson = False,
) -> None:
    """Appends one fact. The same again changes nothing.

    NAME=VALUE is read as the kind says, over the API as text; NAME:=VALUE is JSON, such as ok:=true.

    Example: mim fact append deployed repo=shop deploy_id=42 environment=production
    """
    facts = kpis()
    occurred = happened(at, to_millisecond(timezone.now()), zone=zone(), field="at")
    pairs = [_pair(each) for each in fields or []]
    typed = {name[:-1]: _json(value) for name, value in pairs if name.endswith(":")}
    payload = facts.valued(kind, [pair for pair in pairs if not pair[0].endswith(":")])
    event: dict[str, Any] = {"kind": kind, "payload": payload | typed}
    event["occurredAt"] = iso(occurred)
    event |= {name: value for name, value in {"subject": subject, "actor": actor, "key": key}.items() if value}
    fact, is_new = facts.append(event, source)
    if as_json:
        typer.echo(json.dumps(fact, ensure_ascii=False))
    else:
        about = f" {fact['subject']}" if fact["subject"] else ""
        typer.echo(f"{'Appended' if is_new else 'Already there'}: {fact['id']} {kind}{about}. Next: mim fact tail")


def _pair(field: str) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    if not equals:
        raise Invalid(f"{field!a} is no field: write name=value.")
    return name, value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise Invalid(f"{text!a} is no JSON. A text is written name=value, without the colon.") from None


@app.command("import")
@can_be_tried
@remote_too
def import_file(
    file: Annotated[str, typer.Argument(help="The file; - reads from stdin. `git-log` stands for --format git-log -.")],
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.EVENTS,
    mapping: Annotated[Path | None, typer.Option(help="For csv, deliveries, timelines: what is where (TOML).")] = None,
    repo: Annotated[str, typer.Option(help="For git-log: the name of the repository.")] = "",
    source: Annotated[str, typer.Option("--source", help="Who says it. Default: the format.")] = "",
    as_json: AsJson = False,
) -> None:
    """Imports a file of facts. Importing it again changes nothing. Exit code 7 if some records were refused.

    \b
    events      JSON lines, as POST /api/v1/facts/bulk takes them
    journal     JSON lines of timestamp, action, entity and details
    csv         any table, read by --mapping
    git-log     what `git log --numstat` prints
    deliveries  CSV of merges: deployments, and which were taken back
    timelines   JSON of incident reports: when each began and ended

    Example: git log --numstat --date=iso-strict | mim fact import git-log --repo shop
    """
    if file == Format.GIT_LOG.value:
        file, form = "-", Format.GIT_LOG
    if is_remote() and (source or (form in MAPPED or form is Format.JOURNAL)):
        raise DatabaseOnly.said("--source" if source else f"--format {form.value}")
    facts, report = kpis(), Report()
    with _opened(file) as (lines, advance):
        records = _records(lines, form, mapping, repo)
        while batch := list(islice(records, BATCH)):
            report.add(facts.append_many(batch, source or f"import:{form.value}"))
            advance()
    _tell(report, as_json=as_json)
    if report.rejected:
        raise typer.Exit(PARTLY_DONE)


def _records(lines: TextIO, form: Format, mapping: Path | None, repo: str) -> files.Numbered:
    if form is Format.EVENTS:
        return files.json_lines(lines)
    if form is Format.JOURNAL:
        return files.journal(lines, registry.fresh().kinds)
    if form in MAPPED:
        if mapping is None:
            raise Invalid(f"{form} needs --mapping FILE: what is where. docs/howto/facts.md has examples.")
        return MAPPED[form](lines, _text(mapping), registry.fresh().kinds)
    if not repo:
        raise Invalid("A git log does not name its repository: add --repo NAME.")
    return files.git_log(lines, repo)


def _table(lines: TextIO, mapping: str, kinds: files.Kinds) -> files.Numbered:
    return files.table(lines, files.mapping_from(mapping), kinds)


def _deliveries(lines: TextIO, mapping: str, kinds: files.Kinds) -> files.Numbered:
    told = deliveries.deliveries_from(mapping)
    return deliveries.deliveries(lines, told, deliveries.known_of(told.repo))


def _timelines(lines: TextIO, mapping: str, kinds: files.Kinds) -> files.Numbered:
    return timelines.timelines(lines, timelines.timelines_from(mapping))


MAPPED = {Format.CSV: _table, Format.DELIVERIES: _deliveries, Format.TIMELINES: _timelines}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}.") from None


@contextmanager
def _opened(name: str) -> Iterator[tuple[TextIO, Callable[[], None]]]:
    """The lines of the file, and a bar on a terminal that follows how far they were read."""
    if name == "-":
        yield _decoded(sys.stdin.buffer), lambda: None
        return
    path = Path(name)
    if not path.is_file():
        raise Invalid(f"There is no file {name}.")
    size = path.stat().st_size
    with path.open("rb") as raw, progress(f"{path.name} (bytes)", total=size) as advance:
        lines: Any = _decoded(raw)
        yield lines, lambda: advance(raw.tell(), size)


def _decoded(raw: Any) -> TextIO:
    """Text of the bytes; a byte that is no UTF-8 spoils its own record and no other, and never becomes another text."""
    import io

    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    for error in report.errors[:SHOWN]:
        typer.echo(f"record {error.line}: {error.reason}", err=True)
    if report.rejected > SHOWN:
        typer.echo(f"and {report.rejected - SHOWN} more", err=True)
    parked_too = f", {report.parked} parked" if report.parked else ""
    typer.echo(
        f"{report.received} read: {report.inserted} new, {report.duplicate} there already{parked_too}, "
        f"{report.rejected} refused. Next: mim kpi nightly"
    )


@app.command()
@listing
@remote_too
def tail(
    kind: Annotated[str, typer.Option(help="Only of this kind.")] = "",
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")] = 20,
) -> Listing:
    """The newest facts, in the order they came in.

    Example: mim fact tail --kind deployed -n 5
    """
    return Listing(kpis().facts(kind, count), _fact_line)


def _fact_line(fact: Mapping[str, Any]) -> str:
    about = f"{fact['subjectType']}:{fact['subject']}" if fact["subject"] else ""
    told = json.dumps(fact["payload"], ensure_ascii=False)
    return f"{fact['occurredAt']}  {fact['kind']:<26} {about:<30} {told}"


@app.command("kinds")
@listing
def list_kinds() -> Listing:
    """The fact kinds that are defined.

    Example: mim fact kinds
    """
    rows = [
        {
            "key": row.key,
            "version": row.version,
            "status": row.status,
            "fields": [{"name": name, **rule} for name, rule in row.fields.items()],
        }
        for row in FactKind.objects.order_by("key")
    ]
    return Listing(rows, _kind_line, "Append one: mim fact append KIND NAME=VALUE")


def _kind_line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['key']:<26} v{row['version']:<3} {row['status']:<8} {', '.join(each['name'] for each in row['fields'])}"
    )


@app.command()
@can_be_tried
def release(kind: Annotated[str, typer.Option(help="Only of this kind.")] = "") -> None:
    """Turns parked events into facts where their kind is defined by now.

    Example: mim fact release --kind deployed
    """
    told = parked.release(kind=kind, now=timezone.now())
    typer.echo(f"{told.released} released, {told.refused} refused. Next: mim kpi nightly")
