"""Our own requests become facts: a fair sample of each hour, of all processes, with nothing of anybody in it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import resolve

from accounts.models import User
from kpis import self_measurement
from kpis.actions import Editor
from kpis.compute import backfill
from kpis.facts.errors import UnknownKind
from kpis.models import Fact, KpiDefinition
from kpis.packs import files, reading
from kpis.packs.install import install
from majorops.lib import spool
from majorops.lib.spool import Spool
from majorops.measuring import measured
from tests.factories import at

HOUR = at("2026-03-02T10:00")
LATER = at("2026-03-02T11:05")
NIGHT = at("2026-03-03T00:00")


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MAJOROPS_MEASURE_REQUESTS = True
    settings.MAJOROPS_MEASURE_FOLDER = str(tmp_path / "requests")
    return tmp_path / "requests"


@pytest.fixture
def impact(db: None) -> files.Pack:
    pack = files.pack("engineering-impact")
    install(pack, Editor(None, HOUR), start=HOUR.date())
    return pack


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*")) for line in file.read_text().splitlines()]


# --- What is kept of a request ---


def request_to(path: str, method: str = "GET") -> HttpRequest:
    request = getattr(RequestFactory(), method.lower())(path)
    request.resolver_match = resolve(path.partition("?")[0])
    return request


def test_the_pattern_is_kept_and_never_the_address() -> None:
    told = measured(request_to("/packs/engineering-impact/?q=rosa@example.com"), 200, 0.0421, HOUR)
    assert told is not None
    assert (told["path"], told["latency_ms"], told["status"]) == ("/packs/<slug:pack>/", 42.1, 200)
    assert "rosa" not in json.dumps(told)
    assert "engineering" not in json.dumps(told)


def test_probes_and_unknown_addresses_are_left_out_and_errors_never() -> None:
    unknown = RequestFactory().get("/wp-login.php")
    assert measured(request_to("/healthz"), 200, 0.01, HOUR) is None
    assert measured(unknown, 404, 0.01, HOUR) is None
    broken = measured(unknown, 500, 0.01, HOUR)
    assert broken is not None
    assert "path" not in broken


def test_a_made_up_method_is_not_taken_over() -> None:
    request = request_to("/packs/")
    request.method = "ROSA"
    told = measured(request, 405, 0.01, HOUR)
    assert told is not None
    assert told["method"] == "other"


@pytest.mark.django_db
def test_nothing_is_measured_unless_asked(client: Client, folder: Path, settings: Any) -> None:
    settings.MAJOROPS_MEASURE_REQUESTS = False
    client.get("/who")
    assert not folder.exists()


@pytest.mark.django_db
def test_a_request_leaves_a_line(client: Client, folder: Path) -> None:
    client.get("/who")
    [line] = lines(folder)
    assert (line["path"], line["method"]) == ("/who", "GET")
    assert line["latency_ms"] > 0


@pytest.mark.django_db
async def test_an_asynchronous_request_leaves_one_too(async_client: Any, folder: Path) -> None:
    await async_client.get("/who")
    assert [line["path"] for line in lines(folder)] == ["/who"]


@pytest.mark.django_db
def test_a_folder_that_cannot_be_written_disturbs_nobody(client: Client, folder: Path, settings: Any) -> None:
    folder.write_text("a file where a folder should be")
    assert client.get("/who").status_code < 500


# --- The sample ---


def test_a_process_writes_little_and_two_make_one_fair_sample(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, 10), Spool(tmp_path, 10)
    for number in range(5000):
        (first if number % 2 else second).offer({"number": number}, HOUR)
    assert len(lines(tmp_path)) < 400
    [chosen] = [spool.sample(files, 10) for files in spool.ended(tmp_path, LATER).values()]
    assert len({line["number"] for line in chosen}) == 10
    assert max(line["draw"] for line in chosen) < 0.02
    assert chosen == spool.sample(tmp_path.glob("*"), 10)


def test_an_hour_is_taken_up_when_it_is_over(tmp_path: Path) -> None:
    spooled = Spool(tmp_path, 10)
    spooled.offer({}, HOUR)
    spooled.offer({}, HOUR + timedelta(hours=1))
    (tmp_path / "notes-by-hand.jsonl").write_text("{}")
    assert spool.ended(tmp_path, HOUR + timedelta(minutes=61)) == {}
    assert list(spool.ended(tmp_path, HOUR + timedelta(minutes=62))) == ["20260302T10"]


def test_a_forked_process_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled = Spool(tmp_path, 10)
    spooled.offer({}, HOUR)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    spooled.offer({}, HOUR)
    assert len(list(tmp_path.glob("*"))) == 2


def test_a_line_half_written_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "20260302T10-1-aa.jsonl"
    file.write_text('{"draw": 0.5, "status": 200}\n{"draw": 0.1, "sta')
    assert [line["draw"] for line in spool.sample([file], 10)] == [0.5]


# --- The facts, and the KPIs ---


def served(folder: Path, *requests: tuple[int, float]) -> None:
    """Requests of ten o'clock, as (status, milliseconds)."""
    spooled = Spool(folder, 200)
    for number, (status, took) in enumerate(requests):
        when = HOUR + timedelta(seconds=number)
        told = measured(request_to("/packs/"), status, took / 1000, when)
        assert told is not None
        spooled.offer(told, when)


def test_a_fact_is_taken_up_once(folder: Path, impact: files.Pack) -> None:
    served(folder, (200, 20), (503, 40))
    kept = {file: file.read_bytes() for file in folder.glob("*")}
    assert self_measurement.take_up(LATER) == "2 requests of 1 hour are facts."
    for file, content in kept.items():  # the worker died before it removed them
        file.write_bytes(content)
    assert self_measurement.take_up(LATER) == "0 requests of 1 hour are facts."
    assert list(folder.glob("*")) == []
    payload = Fact.objects.filter(kind="api_request").earliest("occurred_at").payload
    assert payload == {"service": "majorops", "status": 200, "latency_ms": 20, "method": "GET", "path": "/packs/"}


def test_without_the_kind_the_samples_wait(folder: Path, db: None) -> None:
    served(folder, (200, 20))
    with pytest.raises(UnknownKind, match="mim pack install"):
        self_measurement.take_up(LATER)
    assert len(lines(folder)) == 1


def test_error_rate_budget_and_latency_are_real_then(folder: Path, impact: files.Pack, mim: User) -> None:
    served(folder, *((500 if number == 0 else 200, float(number + 1)) for number in range(100)))
    self_measurement.take_up(LATER)
    slugs = ("error-rate", "api-latency-p50", "api-latency-p95", "api-latency-p99", "error-budget-left")
    for slug in slugs:
        backfill(KpiDefinition.objects.get(pk=slug), as_of=NIGHT)
    found = {row.kpi.slug: row.value for row in reading.opened(impact, mim, NIGHT).rows}
    assert [found[slug] for slug in slugs] == [1.0, 50.5, 95.05, 99.01, -900.0]
