"""What became of a promise. Pure: no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest

from incidents.promises import promises
from tests.factories import NOON, at


@dataclass
class Cut:
    created_at: datetime
    next_update_eta: datetime | None = None
    is_resolution: bool = False


@pytest.mark.parametrize(
    ("now", "verdict"), [("12:29", "pending"), ("12:30", "pending"), ("12:30:00.001", "missed"), ("14:00", "missed")]
)
def test_silence_is_pending_until_due_and_then_a_miss(now: str, verdict: str) -> None:
    (promise,) = promises([Cut(NOON, at("12:30"))], at(now))
    assert ("pending" if promise.is_pending else "kept" if promise.is_kept else "missed") == verdict


@pytest.mark.parametrize(("next_cut", "kept"), [("12:20", True), ("12:30", True), ("12:30:00.001", False)])
def test_the_next_milestone_delivers(next_cut: str, kept: bool) -> None:
    promise, *_ = promises([Cut(NOON, at("12:30")), Cut(at(next_cut), is_resolution=True)], at("14:00"))
    assert (promise.is_kept, promise.is_pending) == (kept, False)


def test_a_resolution_and_a_milestone_without_a_time_promise_nothing() -> None:
    cuts = [Cut(NOON), Cut(at("12:10"), at("13:00"), is_resolution=True)]
    assert list(promises(cuts, at("14:00"))) == []
