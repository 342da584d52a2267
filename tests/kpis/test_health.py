"""Services are asked whether they are well; what does not answer in time is down, and uptime says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from accounts.models import User
from kpis import health
from kpis.actions import Editor
from kpis.compute import backfill
from kpis.facts.errors import UnknownKind
from kpis.health import NoSuchService, check, services
from kpis.models import Fact, KpiDefinition
from kpis.packs import files, reading
from kpis.packs.install import install
from majorops.cli import app
from majorops.lib.errors import Invalid
from tests.factories import at

NOW = at("2026-03-02T10:00")
NIGHT = at("2026-03-03T00:00")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def answers() -> Iterator[str]:
    """`/200` answers 200."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def impact(db: None) -> files.Pack:
    pack = files.pack("engineering-impact")
    install(pack, Editor(None, NOW), start=NOW.date())
    return pack


def told() -> dict[str, tuple[bool, str]]:
    rows = Fact.objects.filter(kind="health_check").values_list("subject_id", "payload")
    return {service: (payload["ok"], payload.get("tier", "")) for service, payload in rows}


def test_only_an_answer_of_2xx_in_time_is_well(
    impact: files.Pack, answers: str, silent: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WITHIN", 0.3)
    settings.MAJOROPS_HEALTH_CHECKS = [
        f"api:core={answers}/204", f"moved={answers}/302", f"ill={answers}/503", f"late:edge={silent}",
        "gone=http://127.0.0.1:9/",
    ]  # fmt: skip
    said = {each.service.name: each.said for each in check(NOW)}
    assert told() == {
        "api": (True, "core"), "moved": (False, ""), "ill": (False, ""), "late": (False, "edge"), "gone": (False, ""),
    }  # fmt: skip
    assert (said["late"], said["ill"]) == ("It did not answer in time.", "It answered 503.")


def test_uptime_is_a_real_number_then(impact: files.Pack, mim: User, answers: str, settings: Any) -> None:
    for number in range(4):
        settings.MAJOROPS_HEALTH_CHECKS = [
            f"api:core={answers}/{500 if number == 3 else 200}",
            f"pi:edge={answers}/200",
        ]
        check(NOW + timedelta(minutes=5 * number))
    for slug in ("uptime", "uptime-core", "uptime-edge"):
        backfill(KpiDefinition.objects.get(pk=slug), as_of=NIGHT)
    found = {row.kpi.slug: (row.value, row.figure.n) for row in reading.opened(impact, mim, NIGHT).rows}
    assert [found[slug] for slug in ("uptime", "uptime-core", "uptime-edge")] == [(87.5, 8), (75.0, 4), (100.0, 4)]


def test_without_the_pack_nobody_is_asked(db: None, settings: Any) -> None:
    settings.MAJOROPS_HEALTH_CHECKS = ["api=http://127.0.0.1:9/"]
    with pytest.raises(UnknownKind, match="mim pack install"):
        check(NOW)


def test_no_service_named_is_no_failure(db: None) -> None:
    assert health.in_words(check(NOW)) == "MAJOROPS_HEALTH_CHECKS names no service."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("https://api.example.com/", "is not name=URL"),
        ("api:middle=https://api.example.com/", "core or edge"),
        ("api=ftp://api.example.com/", "https://"),
        ("api=https:///health", "https://"),
        ("api=http://[::1/", "https://"),
    ],
)
def test_a_service_that_is_named_wrongly_is_told(line: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        services([line])


def test_a_name_that_is_there_twice_or_not_at_all_is_told(impact: files.Pack, settings: Any) -> None:
    settings.MAJOROPS_HEALTH_CHECKS = ["api=https://a.example.com/", "pi:edge=https://b.example.com/"]
    with pytest.raises(NoSuchService, match="It names: api, pi"):
        check(NOW, ["apj"])
    with pytest.raises(Invalid, match="api twice"):
        services(["api=https://a.example.com/", "api=https://b.example.com/"])


def test_the_command_line_tells_what_each_answered(impact: files.Pack, answers: str, settings: Any) -> None:
    settings.MAJOROPS_HEALTH_CHECKS = [f"api={answers}/200", f"ill={answers}/500"]
    said = CliRunner().invoke(app, ["health", "check"])
    assert said.exit_code == 0
    assert "NOT WELL  It answered 500." in said.stdout
    assert "1 of 2 are well." in said.stdout
