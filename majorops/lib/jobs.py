"""What is done again and again in the background, declared where it belongs: in `tasks.py` of an app.

    @job("sessions", when="daily 03:10")
    def clear_sessions(now: datetime) -> str:
        '''Deletes the sessions that have ended.'''
        return f"{sessions.clear(now)} deleted"

That is all. A row in admin says when it really runs (majorops/models.py), and a worker runs it (majorops/worker.py).
The answer is one line for people; what is raised is kept as the reason why it failed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.module_loading import autodiscover_modules

from majorops.lib.errors import DomainError
from majorops.lib.text import near_match

Work = Callable[[datetime], str | None]

#: A worker that gives no sign of life for so long is taken for dead.
LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done, and when unless an administrator says otherwise."""

    name: str
    work: Work
    when: str
    lease: timedelta
    #: Whether it may be run again by itself where a worker died in the middle of it.
    is_repeatable: bool

    @property
    def about(self) -> str:
        """What it does: the first line of its docstring."""
        return (inspect.getdoc(self.work) or "").partition("\n")[0]


class NoSuchJob(DomainError):
    """No such job is declared. See: mim jobs list"""

    code = "no_such_job"
    status = 404


_declared: dict[str, Job] = {}


def job(name: str, *, when: str, lease: timedelta = LEASE, is_repeatable: bool = True) -> Callable[[Work], Work]:
    """Declares a job. It is called with the time at which it begins."""

    def declare(work: Work) -> Work:
        _declared[name] = Job(name, work, when, lease, is_repeatable)
        return work

    return declare


def declared() -> dict[str, Job]:
    """Every job there is, by name."""
    autodiscover_modules("tasks")
    return dict(sorted(_declared.items()))


def job_named(name: str) -> Job:
    """Raises NoSuchJob."""
    found = declared().get(name)
    if found is None:
        raise NoSuchJob(f"No job is called {name[:60]!r}. {near_match(name, declared())}", field="job")
    return found
