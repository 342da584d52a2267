"""The one signal we own. Sent after commit, so that a listener's failure cannot hurt the incident."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.dispatch import Signal

#: Arguments: incident_id (ULID str). Something about this incident was recorded.
recorded = Signal()

_is_muted: ContextVar[bool] = ContextVar("is_muted", default=False)


@contextmanager
def muted() -> Iterator[None]:
    """Within it no listener hears anything: for whoever computes at the end what listeners would at every step."""
    before = _is_muted.set(True)
    try:
        yield
    finally:
        _is_muted.reset(before)


def is_muted() -> bool:
    return _is_muted.get()
