"""One incident in full as the bytes that go out, written once for everybody who reads the same of it.

What somebody reads of an incident follows from three things: their rights, whether they were called to it, and its row,
which holds the incident's own columns and how many lines of each ledger they read. Ledgers only grow. So an answer is
used again only for the same rights and for an equal row, and the row is read anew for everyone who asks: nobody has to
tell this module of a change, and whoever may no longer see the incident gets no row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic

from accounts.principals import Principal, Rights
from incidents import reading
from incidents.door import MARKS, tag
from majorops.lib.rest import JSONRenderer

#: Bytes of answers that a process keeps.
ROOM = 16 * 1024 * 1024
#: Seconds. What is erased from a ledger (accounts/guard.py) is in no answer longer than that.
KEPT_FOR = 60.0


@dataclass(slots=True)
class Answer:
    """What a reader gets. `body` is None until somebody needs it: most only ask whether anything changed."""

    row: reading.Row
    tag: str
    made_at: float
    body: bytes | None = None


#: Who reads the same of which incident: its id, their rights, and whether they were called to it.
Key = tuple[str, Rights, bool]
_kept: OrderedDict[Key, Answer] = OrderedDict()
_lock = threading.Lock()


def answer_for(viewer: Principal, incident_id: str) -> Answer | None:
    """The answer without its body, as the incident is now; None if it does not exist for this viewer. One query."""
    row = reading.incident_row(viewer, incident_id)
    if row is None:
        return None
    key = _key(viewer, row)
    with _lock:
        kept = _kept.get(key)
        if kept is not None and kept.row == row and monotonic() - kept.made_at < KEPT_FOR:
            _kept.move_to_end(key)
            return kept
    return Answer(row, tag(reading.listed(row, viewer), [row[name] for name in MARKS]), monotonic())


def body_of(answer: Answer, viewer: Principal) -> bytes:
    """The whole answer. Three queries, none if somebody who reads the same had it."""
    if answer.body is None:
        answer.body = JSONRenderer().render(reading.in_full(answer.row, viewer))
        _keep(_key(viewer, answer.row), answer)
    return answer.body


def _key(viewer: Principal, row: reading.Row) -> Key:
    return row["id"], Rights.of(viewer), row["was_called"]


def _keep(key: Key, answer: Answer) -> None:
    """In place of what it was before. Those nobody asked for the longest make room."""
    with _lock:
        _kept[key] = answer
        _kept.move_to_end(key)
        while sum(len(kept.body or b"") for kept in _kept.values()) > ROOM:
            _kept.popitem(last=False)


def forget_all() -> None:
    with _lock:
        _kept.clear()
