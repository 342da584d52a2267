"""The long walk of tests/test_noninterference.py: every parameter of every list, every column as a filter and an order.

Run by `make drill`. Prints the number of compared pairs of answers.
"""

from __future__ import annotations

import pytest
from django.apps import apps

from majorops.lib.visibility import columns
from tests.test_noninterference import DATA, LONG_WALK, LOWER, PAGE, asked_of, compare, frozen
from tests.world import MARK, World

pytestmark = pytest.mark.django_db
__all__ = ["frozen"]

#: What the lists and pages accept, each with values that fit, and pieces of the secrets.
ACCEPTED = [
    *(f"q={text}" for text in (MARK, MARK[:4], MARK[2:7], "slow", "a", "status", "team", "KPI")),
    *(f"status={status}" for status in ("active", "resolved", "monitoring", "open", "draft")),
    *(f"severity={severity}" for severity in ("critical", "high", "low")),
    *(f"type={kind}" for kind in ("action", "alert", "command", "phase", "update")),
    *("kind=real", "kind=drill", "visibility=internal", "visibility=exec", "kpi=mttr", "kpi=mtta", "kpi=zq7-secret"),
    *("limit=1", "limit=200", "page=1", "page=2", "page=99", "box=box3", "format=json", "cursor=x", "fields=all"),
    *("from=2026-03-02T12:20:00Z", "to=2026-03-02T12:20:00Z", "from=2026-03-02T12:29:00Z&to=2026-03-02T12:31:00Z"),
]
ASKED = sorted(columns(apps.get_model("incidents", "Incident")) | columns(apps.get_model("incidents", "TimelineEvent")))
QUERIES = (
    *ACCEPTED,
    *(f"{name}__icontains={MARK}" for name in ASKED),
    *(f"ordering={sign}{name}" for name in ASKED for sign in ("", "-")),
)


def asked(world: World) -> list[tuple[str, str]]:
    found = asked_of(world, QUERIES, first=LONG_WALK)
    assert {accept for _, accept in found} == {PAGE, DATA}
    return found


@pytest.mark.parametrize("role", LOWER)
def test_secrets_change_no_answer_whatever_is_asked(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = compare(role, asked)
    with capsys.disabled():
        print(f"\nnon-interference, {role}: {pairs} pairs compared, 0 differ")
    assert pairs > 1000
