"""`mim worker` and `mim jobs`: background work from the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majorops.lib.manner import shown
from majorops.lib.terminal import Listing, listing
from majorops.lib.times import iso, parse_time

if TYPE_CHECKING:
    from majorops.jobs_reading import Standing

worker = typer.Typer(rich_markup_mode=None, subcommand_metavar="", invoke_without_command=True)
jobs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What is done in the background.")

#: The exit code of `worker --once` where a job failed.
PARTLY_DONE = 7


@worker.callback()
def work(
    once: Annotated[bool, typer.Option("--once", help="Do what is due and what waits, then end.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, max=32, help="How many tasks at once.")] = 2,
    schedules: Annotated[
        bool, typer.Option("--schedules/--no-schedules", help="Look at the schedules too, or carry out tasks only.")
    ] = True,
    beside: Annotated[
        int | None, typer.Option("--beside", metavar="PID", help="End when this process, which started it, does.")
    ] = None,
) -> None:
    """Runs the schedules and carries out background tasks, until it is stopped. Several may run at once.

    SIGTERM or Ctrl-C: it takes nothing new, ends what it is at, and stops. A second one does not wait.

    Example: mim worker
    """
    from majorops.worker import Worker

    for library in ("django_tasks", "django.tasks", "django_tasks_db"):
        logging.getLogger(library).setLevel(logging.WARNING)  # a line for every task that went well is too many
    new = Worker(threads=threads, with_schedules=schedules, beside=beside)
    new.stop_on_signals()
    if once:
        _tell(new.run_once())
    else:
        new.run()


def _tell(queued: list[str]) -> None:
    from majorops.models import JobRun, RunState

    runs = JobRun.objects.filter(pk__in=queued).order_by("pk")
    for run in runs:
        typer.echo(f"{run.schedule_id:<20} {run.state:<8} {run.outcome}", err=run.state == RunState.FAILED)
    if any(run.state == RunState.FAILED for run in runs):
        raise typer.Exit(PARTLY_DONE)


@jobs.callback()
def jobs_commands() -> None:
    """What is done in the background."""


@jobs.command("list")
@listing
def list_jobs() -> Listing:
    """Each job with its rhythm, its last run and its next one.

    Example: mim jobs list
    """
    from django.utils import timezone

    from majorops.jobs import create_missing
    from majorops.jobs_reading import standings
    from majorops.models import Schedule

    now = timezone.now()
    create_missing(now)
    found = standings(Schedule.objects.order_by("job"), now)
    return Listing([_facts(standing) for standing in found], _line, "One of them now: mim jobs run JOB")


def _line(row: Mapping[str, Any]) -> str:
    line = (
        f"{row['job']:<20} {row['rhythm']:<16} last {_short(row['lastRunAt']):<21} "
        f"{row['state'] or 'never':<8} next {_short(row['nextRunAt']):<21} {row['outcome']}".rstrip()
    )
    return f"{line}\n  ! {row['lookAfterIt']}" if row["lookAfterIt"] else line


def _facts(standing: Standing) -> dict[str, str | None]:
    last, schedule = standing.last, standing.schedule
    return {
        "job": schedule.job,
        "about": standing.job.about if standing.job else "It is not declared any more and does not run.",
        "rhythm": schedule.rhythm if schedule.is_active else "switched off",
        "nextRunAt": iso(standing.next_slot),
        "lastRunAt": iso(last.started_at or last.claimed_at) if last else None,
        "state": last.state if last else None,
        "outcome": last.outcome if last else "",
        "lookAfterIt": standing.stale.why if standing.stale else None,
    }


def _short(at: str | None) -> str:
    return shown(parse_time(at, field="at") if at else None, seconds=False)


@jobs.command("run")
def run_job(name: Annotated[str, typer.Argument(help="The job, e.g. kpi-nightly.")]) -> None:
    """Runs a job now, here, whatever its schedule says.

    Example: mim jobs run kpi-nightly
    """
    from django.utils import timezone

    from majorops.jobs import ask, carry_out
    from majorops.lib.errors import DomainError

    run = ask(name, timezone.now())
    try:
        typer.echo(carry_out(run.pk, run.attempt))
    except DomainError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("%s failed", name)
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
