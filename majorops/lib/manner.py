"""How a person wants `mim` to speak: less or more, in which zone, with or without questions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import typer

from majorops.lib.errors import DomainError

#: Seconds between two lines of progress where nobody looks at a bar.
BREATH = 10.0
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manner:
    """What the options of `mim` itself say."""

    #: No hints and no progress: only what was asked for, and errors.
    is_quiet: bool = False
    #: Where it works, what it asks the server, and how long it took.
    is_verbose: bool = False
    #: Yes to every question.
    says_yes: bool = False
    #: Nobody is there to be asked.
    asks_nothing: bool = False
    #: In which times are shown to a person, and read where they name none.
    zone: tzinfo = UTC


_manner: ContextVar[Manner] = ContextVar("manner", default=Manner())  # noqa: B039  # it is frozen


class Unconfirmed(DomainError):
    """Nobody said yes to this."""

    code = "unconfirmed"
    status = 400


@contextmanager
def speaking(manner: Manner) -> Iterator[None]:
    """All that is said inside is said in this manner."""
    before = _manner.set(manner)
    try:
        yield
    finally:
        _manner.reset(before)


def zone() -> tzinfo:
    return _manner.get().zone


def hint(text: str) -> None:
    """Something besides the answer, such as what to do next: on stderr, and not with -q."""
    if not _manner.get().is_quiet:
        typer.echo(text, err=True)


def next_step(command: str) -> None:
    """What a person would do now."""
    hint(f"Next: {command}")


def detail(text: str) -> None:
    """Only for those who said -v."""
    if _manner.get().is_verbose:
        typer.echo(text, err=True)


def shown(at: datetime | None, *, seconds: bool = True) -> str:
    """A time for a person: `2026-03-02 14:02:00 UTC`, or in the zone of --tz."""
    if at is None:
        return "—"
    here = at.astimezone(zone())
    return f"{here:%Y-%m-%d %H:%M:%S %Z}" if seconds else f"{here:%Y-%m-%d %H:%M %Z}"


def confirm(question: str) -> None:
    """Goes on after a yes. Raises Unconfirmed where nobody can be asked, and says how to answer beforehand."""
    manner = _manner.get()
    if manner.says_yes:
        return
    if manner.asks_nothing or not sys.stdin.isatty():
        raise Unconfirmed(f"{question} Nobody is here to be asked: say --yes.")
    typer.confirm(question, abort=True, err=True)


@contextmanager
def progress(what: str, *, total: int | None = None, now: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a line every ten seconds, so that a log shows that it lives. Nothing with -q."""
    if _manner.get().is_quiet:
        yield lambda done, total: None
    elif is_seen():
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _lines(what, now)


def is_seen() -> bool:
    """Whether a person looks at a terminal that can draw."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=total is not None) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, now: Callable[[], float]) -> Advance:
    last = now()

    def advance(done: int, total: int) -> None:
        nonlocal last
        if now() - last >= BREATH:
            last = now()
            typer.echo(f"{what}: {done:,} of {total:,}", err=True)

    return advance
