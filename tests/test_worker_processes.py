"""Workers as processes of their own, killed and stopped in the middle of a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from majorops.jobs import MAX_ATTEMPTS
from majorops.models import JobRun, RunState, Schedule
from tests.run import ROOT
from tests.serving import database_url

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = int(os.environ.get("MAJOROPS_RACE_ROUNDS", "3"))

#: `mim`, with a job that begins, waits until it may go on, and ends.
PROGRAM = """
import os, sys, time
from datetime import timedelta
from pathlib import Path
import django; django.setup()
from majorops.lib.jobs import job
folder = Path(sys.argv.pop(1))

@job("slow", when="every 24 hours", lease=timedelta(seconds=1))
def slow(now):
    '''Waits.'''
    with (folder / "begun").open("a") as file:
        file.write("x")
    while not (folder / "go").exists():
        time.sleep(0.02)
    with (folder / "ended").open("a") as file:
        file.write("x")
    return "Ended."

from majorops.cli import app
app()
"""


@dataclass
class Place:
    """Where the workers of a test leave their marks."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *shell: str) -> subprocess.Popen[str]:
        """`mim worker`, or a shell line in which "$@" is it."""
        told = {**os.environ, "DATABASE_URL": database_url(), "DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev"}
        mim = [sys.executable, "-c", PROGRAM, str(self.folder), "worker"]
        command = ["sh", "-c", *shell, "sh", *mim] if shell else mim
        self.processes.append(
            subprocess.Popen(
                command, cwd=ROOT, env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=hear_ctrl_c,
            )
        )  # fmt: skip
        return self.processes[-1]

    def count(self, mark: str) -> int:
        file = self.folder / mark
        return len(file.read_text()) if file.exists() else 0

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def place(tmp_path: Path, transactional_db: None) -> Iterator[Place]:
    """One slot of the slow job is due, and nothing else."""
    Schedule.objects.update(is_active=False)
    behind = timezone.now() - timedelta(days=2)
    Schedule.objects.create(job="slow", rhythm="every 24 hours", settled_until=behind)
    place = Place(tmp_path)
    yield place
    for process in place.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def hear_ctrl_c() -> None:
    """Whoever runs the tests in the background of a script has all below them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def soon(is_so: Callable[[], object]) -> None:
    """Waits for it, a minute at most."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "It did not come about."
        time.sleep(0.05)


def run() -> JobRun:
    return JobRun.objects.get(schedule="slow")


def test_what_a_killed_worker_left_is_finished_by_the_next(place: Place) -> None:
    for number in range(1, min(ROUNDS, MAX_ATTEMPTS - 1) + 1):
        worker = place.start()
        soon(lambda number=number: place.count("begun") == number)  # type: ignore[misc]
        worker.kill()
        worker.wait()
        assert (run().state, run().attempt) == (RunState.RUNNING, number)
    place.go()
    place.start()
    soon(lambda: run().state == RunState.DONE)
    assert place.count("ended") == 1
    assert run().outcome == "Ended."


def test_a_worker_that_is_told_to_stop_ends_what_it_is_at(place: Place) -> None:
    worker = place.start()
    soon(lambda: place.count("begun"))
    worker.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(1.5)
    place.go()
    assert worker.wait(30) == 0
    assert (run().state, run().attempt, place.count("ended")) == (RunState.DONE, 1, 1)


def test_a_second_signal_does_not_wait(place: Place) -> None:
    worker = place.start()
    soon(lambda: place.count("begun"))
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 128 + signal.SIGTERM
    assert run().state == RunState.RUNNING


@pytest.mark.parametrize("how", ["ctrl-c", "the server is killed"])
def test_a_worker_beside_a_server_ends_with_it(place: Place, how: str) -> None:
    """As `make run` starts them. A shell has its background processes ignore Ctrl-C."""
    place.go()
    both = place.start('"$@" --beside $$ & exec sleep 600')
    soon(lambda: place.count("ended"))
    if how == "ctrl-c":
        os.killpg(both.pid, signal.SIGINT)
    else:
        both.kill()
    both.communicate(timeout=90)  # until nobody holds the output any more
    assert run().state == RunState.DONE
