"""Non-interference: what somebody may not read changes no byte of any answer they get.

Every GET route of the URL map is fetched in a world and in the same world with secrets planted (tests/world.py);
status, headers and body must be equal. A new route is in the walk by itself. `make drill` walks all arguments and
parameters, and the admin too, which tests/test_matrix.py finds shut for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import HttpResponseBase

from incidents import answers
from incidents.models import Incident
from tests.walk import is_admin, routes
from tests.world import MARK, NOW, World, build, plant, plant_inside

pytestmark = pytest.mark.django_db
#: Those who may not read something. Incident managers read all of an incident, administrators everything.
LOWER = ("anonymous", "stakeholder", "executive", "engineer_called", "service_read")
PAGE, DATA = "text/html", "application/json"
#: Random by nature, and nothing else is.
CSRF = re.compile(rb'name="csrfmiddlewaretoken" value="\w+"')
#: The last counts the requests that were sent before, which is the same in both worlds only for the first.
RANDOM_HEADERS = {"Set-Cookie", "RateLimit-Remaining", "RateLimit-Reset"}
#: So many arguments of each kind the drill takes.
LONG_WALK = 9
#: For the short walk, on lists only: a search for the secret itself, half of it, and orders by what is hidden.
QUERIES = (f"q={MARK}", "q=slow", "limit=1", f"exec_summary__icontains={MARK}")

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    # Django's never_cache and its signatures ask another clock.
    monkeypatch.setattr("django.core.signing.time", SimpleNamespace(time=NOW.timestamp))
    monkeypatch.setattr("django.utils.cache.http_date", lambda seconds: "Mon, 02 Mar 2026 14:00:00 GMT")
    monkeypatch.setattr(settings, "MAJOROPS_TOKEN_REQUESTS_PER_MINUTE", 10**9)
    # The status page is on, and asks the database every time.
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_PAGE", True)
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_FOLDER", str(tmp_path))
    monkeypatch.setattr(settings, "MAJOROPS_STATUS_REQUESTS_PER_MINUTE", 0)
    monkeypatch.setattr("incidents.status_snapshot.FRESH", timedelta(0))


def is_list(address: str) -> bool:
    return bool(
        re.fullmatch(
            r"/(api/v1/)?(incidents|kpis|teams|teams/database|users|incidents/\w{26}/(timeline|log|updates|kpis))/?",
            address,
        )
    )


def addresses(world: World, queries: tuple[str, ...], first: int) -> Iterator[str]:
    """Every route with the first sample arguments; the lists with each query too.

    The long walk has the admin's as well, and the others with each combination of arguments.
    """
    is_long, all_samples = first == LONG_WALK, world.samples
    for route in routes():
        if is_admin(route.path) and not is_long:
            continue
        upto = 1 if is_admin(route.path) else first
        samples = {name: values[:upto] for name, values in all_samples.items()}
        if not is_long:  # what an entry or a page is of comes first, and is what may be secret
            samples |= {name: samples[name][:1] for name in route.parameters[1:]}
        for address in route.filled(samples):
            yield address
            if is_list(address):
                yield from (f"{address}?{query}" for query in queries)


def look(world: World, role: str, asked: list[tuple[str, str]]) -> list[Answer]:
    answers.forget_all()  # what the one world was told must not be told in the other
    clients = {accept: world.client(role, accept) for accept in (PAGE, DATA)}
    return [answer_of(clients[accept].get(address)) for address, accept in asked]


def answer_of(response: HttpResponseBase) -> Answer:
    body = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]
    body = CSRF.sub(b"", body)
    headers = {name: value for name, value in response.items() if name not in RANDOM_HEADERS}
    return response.status_code, headers, body


def difference(one: Answer, two: Answer) -> str:
    """The first place where two answers part."""
    if one[:2] != two[:2]:
        return f"{one[0]} {one[1]} became {two[0]} {two[1]}"
    at = next((place for place, pair in enumerate(zip(one[2], two[2], strict=False)) if pair[0] != pair[1]), 0)
    return f"...{one[2][max(0, at - 60) : at + 40]!r} became ...{two[2][max(0, at - 60) : at + 40]!r}"


def asked_of(world: World, queries: tuple[str, ...] = QUERIES, first: int = 2) -> list[tuple[str, str]]:
    """(address, what is accepted): pages and data; what lies below /api/ and the admin has one kind only."""
    return [
        (address, accept)
        for address in addresses(world, queries, first)
        for accept in (PAGE, DATA)
        if accept == (PAGE if is_admin(address) else DATA) or not address.startswith(("/api/", "/admin/"))
    ]


def compare(role: str, asked_of: Callable[[World], list[tuple[str, str]]] = asked_of) -> int:
    """Fetches everything twice and compares. Returns the number of pairs."""
    world = build()
    asked = asked_of(world)
    before = look(world, role, asked)
    plant(world, role)
    after = look(world, role, asked)
    for (address, accept), one, two in zip(asked, before, after, strict=True):
        assert one == two, f"{role} notices a secret at {address} ({accept}): {difference(one, two)}"
        # A page says back what was asked for; the comparison has judged that.
        assert MARK in address or MARK.encode() not in two[2], f"{role} reads a secret at {address} ({accept})"
        assert two[0] < 500, f"{address} breaks"
    return len(asked)


@pytest.mark.parametrize("role", LOWER)
def test_secrets_change_no_answer(role: str) -> None:
    assert compare(role) > 200


def public_addresses(world: World) -> list[tuple[str, str]]:
    paths = [route.path for route in routes() if not route.parameters]
    found = [path for path in paths if path.startswith(("/status/", "/api/v2/"))]
    pages = [f"/status/{incident.public_id}/" for incident in (world.own, world.other, world.done)]
    return [(address, accept) for address in (*found, *pages) for accept in (PAGE, DATA)]


def test_nothing_from_inside_moves_a_byte_of_the_status_page() -> None:
    """Two incidents are published. What is planted in them is internal; the rest of the world is secret."""
    world = build(figures=False)
    for incident in (world.own, world.done):
        Incident.objects.filter(pk=incident.pk).update(publish_status=True, public_title=f"Public {incident.title}")
    asked = public_addresses(world)
    before = look(world, "anonymous", asked)
    plant_inside(world)
    after = look(world, "anonymous", asked)
    assert len(asked) == 28
    assert [row[0] for row in before].count(200) == 26
    for (address, _), one, two in zip(asked, before, after, strict=True):
        assert one == two, f"{address}: {difference(one, two)}"
        assert MARK.encode() not in two[2]


def test_what_is_public_does_move_it() -> None:
    world = build(figures=False)
    Incident.objects.filter(pk=world.own.pk).update(publish_status=True)
    still = ("maintenances", "components")
    asked = [pair for pair in public_addresses(world) if not any(word in pair[0] for word in still)]
    before = look(world, "anonymous", asked)
    Incident.objects.filter(pk=world.own.pk).update(public_title=MARK, severity="high")
    moved = [one != two for one, two in zip(before, look(world, "anonymous", asked), strict=True)]
    # The pages that say 404 too: their mark says how bad things are.
    assert all(moved)


def test_the_comparison_bites() -> None:
    """Incident managers do read the secrets: for them the two worlds must differ."""
    with pytest.raises(AssertionError, match="notices a secret"):
        compare("mim", lambda world: [(f"/api/v1/incidents/{world.own.pk}", DATA)])


def test_a_route_without_sample_arguments_is_refused() -> None:
    from tests.walk import Route

    with pytest.raises(LookupError, match="sample arguments for thing_id"):
        list(Route("/things/{thing_id}", lambda request: None).filled({}))
