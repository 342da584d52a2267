"""A worker: looks at the schedules, and carries out tasks. Any number of them on any number of machines.

It ends on SIGTERM or Ctrl-C once its running tasks have; a second signal does not wait, and another worker takes over.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, reset_queries
from django.utils import timezone
from django.utils.crypto import get_random_string

from majorops import jobs
from majorops.jobs_queue import queue_due
from majorops.lib.tasks import task_backends

log = logging.getLogger(__name__)

#: How often it looks, in seconds.
PULSE = 1.0


@dataclass(slots=True)
class Worker:
    """`threads` tasks at once, so that a long job does not hold up a short one."""

    threads: int = 2
    with_schedules: bool = True
    #: Ends when its parent is not this process any more.
    beside: int | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until it is told to stop."""
        if self.with_schedules:
            jobs.create_missing(timezone.now())
        hands = [threading.Thread(target=self._carry_out, name=f"tasks {n}") for n in range(self._hands())]
        for hand in hands:
            hand.start()
        log.info("Working: %d tasks at once%s.", len(hands), ", and the schedules" if self.with_schedules else "")
        self._watch()
        for hand in hands:
            hand.join()
        log.info("Stopped.")

    def run_once(self) -> list[str]:
        """What is due and what waits, one after the other. The runs that it queued."""
        if self.with_schedules:
            jobs.create_missing(timezone.now())
        queued = [run.pk for run in queue_due(timezone.now())] if self.with_schedules else []
        while self._hands() and not self.stopping.is_set() and run_next_task():
            pass
        return queued

    def stop_on_signals(self) -> None:
        """Also a Ctrl-C that a shell has its background processes ignore."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)  # what is running is taken over when its lease ends
        self.stopping.set()

    def _hands(self) -> int:
        """None where another engine carries tasks out."""
        return self.threads if _is_in_database() else 0

    def _watch(self) -> None:
        """In the main thread, where signals arrive."""
        while not self.stopping.wait(PULSE):
            if self.beside is not None and os.getppid() != self.beside:
                self.stopping.set()
            elif self.with_schedules:
                _undisturbed(lambda: queue_due(timezone.now()))
        connection.close()

    def _carry_out(self) -> None:
        while not self.stopping.is_set():
            if not _undisturbed(run_next_task):
                self.stopping.wait(PULSE)
        connection.close()


def _undisturbed(act: Any) -> Any:
    """The outermost loop goes on whatever happens: without a database it waits for it."""
    try:
        return act()
    except Exception as error:
        log.error("The worker waits: %s", error, exc_info=log.isEnabledFor(logging.DEBUG))
        connection.close()
        return None
    finally:
        reset_queries()


def _is_in_database() -> bool:
    from django_tasks_db.backend import DatabaseBackend

    return isinstance(task_backends["default"], DatabaseBackend)


def run_next_task() -> bool:
    """Carries out the next waiting task here. False if none waits. A task that raises is recorded as failed."""
    from django_tasks_db.management.commands.db_worker import Worker as Engine
    from django_tasks_db.models import DBTaskResult

    # Asked before it is claimed: a claim takes the write lock, and most looks find nothing.
    if not DBTaskResult.objects.ready().filter(backend_name="default").exists():
        return False
    engine = Engine(
        queue_names=["*"],
        excluded_queue_names=[],
        interval=0,
        batch=True,
        backend_name="default",
        startup_delay=False,
        max_tasks=1,
        worker_id=get_random_string(32),
    )
    engine.run()
    return True
