"""Who gets in where: every route, every method, every role, against the reviewed table tests/matrix.csv.

A new route fails the build until its row is in the table. To write the table anew, for review in the diff:

    DEBUG=1 WRITE_MATRIX=1 .venv/bin/python -m pytest -q -p no:xdist tests/test_matrix.py

A cell is `yes` where the door lets the role in (an empty body may then be refused), `login` where the admin leads to
its own refusal, else the status of the refusal.
Arguments are an incident that engineer_called was called to, an entry and a page of it, and a KPI that all may see.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponseBase

from tests.walk import WHOLE, Route, is_admin, routes
from tests.world import NOW, ROLES, World, build

pytestmark = pytest.mark.django_db
TABLE = Path(__file__).parent / "matrix.csv"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSALS = {401, 403, 404, 405}
#: Every method everywhere.
EVERY = WHOLE or bool(os.environ.get("WRITE_MATRIX"))

Row = tuple[str, str]


def rows() -> list[Row]:
    return [(route.path, method) for route in routes() for method in METHODS]


def table() -> dict[Row, dict[str, str]]:
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {(row.pop("path"), row.pop("method")): row for row in csv.DictReader(file)}


def write(role: str, found: dict[Row, str]) -> None:
    """Puts the column of one role in the table; routes that are gone leave it."""
    known = table()
    with TABLE.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["path", "method", *ROLES])
        for row, cell in found.items():
            cells = known.get(row, {}) | {role: cell}
            lines.writerow([*row, *(cells.get(name, "") for name in ROLES)])


def methods_of(route: Route, role: str) -> tuple[str, ...]:
    """The short walk tries an administrator, who gets furthest, with every method; pages know only GET and POST, for
    whomever."""
    if EVERY or route.path.startswith("/api/") or (role == "admin" and not is_admin(route.path)):
        return METHODS
    return METHODS[:2]


def cells(world: World, role: str) -> Iterator[tuple[Row, str]]:
    """What each route answers to each method; nothing of it is kept."""
    client, samples = world.client(role), world.samples
    for route in routes():
        slug = "database" if "/teams/" in route.path else "mttr"
        address = next(route.filled({**samples, "slug": [slug]}))
        for method in methods_of(route, role):
            with transaction.atomic():
                answer = client.generic(method, address, b"{}", content_type="application/json")
                transaction.set_rollback(True)
            assert answer.status_code < 500, f"{method} {address} breaks for {role}"
            yield (route.path, method), cell_of(answer)


def cell_of(answer: HttpResponseBase) -> str:
    if answer.get("Location", "").startswith("/admin/login/"):
        return "login"
    return str(answer.status_code) if answer.status_code in REFUSALS else "yes"


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    monkeypatch.setattr(settings, "MAJOROPS_TOKEN_REQUESTS_PER_MINUTE", 10**9)
    monkeypatch.setattr(settings, "MAJOROPS_PERSON_WRITES_PER_MINUTE", 10**9)
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_PAGE", True)
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_FOLDER", str(tmp_path))
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_REQUESTS_PER_MINUTE", 0)


@pytest.mark.parametrize("role", ROLES)
def test_doors_let_in_whom_the_table_says(role: str) -> None:
    found = dict(cells(build(figures=False), role))
    if os.environ.get("WRITE_MATRIX"):
        write(role, found)
    expected = {row: known[role] for row, known in table().items()}
    wrong = [
        f"{method} {path}: {cell}" for (path, method), cell in found.items() if expected.get((path, method)) != cell
    ]
    assert not wrong, f"{role}:\n" + "\n".join(wrong)


def test_the_table_lists_every_route_and_no_other() -> None:
    assert set(table()) == set(rows())


#: Where programs get data: the API, and the addresses that give browsers a page.
NEGOTIATED = ("/api/", "/kpis", "/incidents/", "/scorecards/")


#: The same for everybody, where it is switched on.
STATUS_PAGE = ("/status/", "/api/v2/")


def test_nobody_unknown_and_no_program_reaches_pages_or_admin() -> None:
    """Read from the table itself, so that a reviewer cannot wave it through."""
    open_paths = {"/healthz", "/readyz", "/who", "/logout"}
    # Whoever has the signed link gets in; a link that nobody signed is 404 for all.
    open_paths |= {"/s/{token}", "/calendar/{token}.ics", "/api/v1/surveys/{token}"}
    for (path, method), known in table().items():
        if path.startswith(STATUS_PAGE):
            assert set(known.values()) <= {"yes", "404"} if method == "GET" else {"405"}, (path, method)
        elif path.startswith("/stop/"):
            assert set(known.values()) <= {"404", "405"}, (path, method)  # the link of a message, made up
        elif path not in open_paths:
            assert known["anonymous"] in {"401", "405"}, (path, method)
            assert known["service_read"] != "yes" or path.startswith(NEGOTIATED), (path, method)
        if path.startswith("/admin/"):
            shut = [role for role in ROLES if role not in ("admin", "anonymous") and known[role] == "yes"]
            assert not [role for role in shut if path != "/admin/logout/"], (path, method)


def test_only_those_who_command_write_and_engineers_where_they_were_called() -> None:
    posts = {
        path: known for (path, method), known in table().items() if method == "POST" and path.startswith("/api/v1/")
    }
    for role in ("stakeholder", "executive", "engineer_other", "service_read"):
        assert deeds(posts, role) <= EVERYBODY, role
    assert deeds(posts, "engineer_called") <= EVERYBODY | {
        "timeline", "acknowledge", "arrive", "correct", "here", "undo",
    }  # fmt: skip
    assert not deeds(posts, "service_read") & {"read", "questions"}  # a program has no eyes


#: What changes nothing of an incident. The documentation page takes a POST as a GET.
EVERYBODY = {"docs", "subscriptions", "read", "questions"}


def deeds(posts: dict[str, dict[str, str]], role: str) -> set[str]:
    return {path.rpartition("/")[2] for path, known in posts.items() if known[role] == "yes"}
