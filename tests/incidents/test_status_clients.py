"""Programs that other people wrote, on a live server: they read the status without knowing that it is ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import feedparser
import pytest
from django.conf import LazySettings

from accounts.models import User
from incidents import actions
from incidents.models import Incident, StatusComponent
from tests.factories import at, stamp
from tests.serving import Site, serving

pytestmark = pytest.mark.django_db(transaction=True)

#: The exporter's own check, in a process of its own: it reads its configuration when it is imported.
EXPORTER = """
import json
from statuspage_prometheus_exporter.service_checker import check_service_status
from statuspage_prometheus_exporter.service_checker import SERVICES
print(json.dumps(check_service_status("ours", SERVICES["ours"])))
"""


@pytest.fixture
def live(settings: LazySettings, tmp_path: Path, mim: User) -> Iterator[Site]:
    folder = str(tmp_path / "status")
    settings.MAJOROPS_STATUS_PAGE, settings.MAJOROPS_STATUS_FOLDER = True, folder
    StatusComponent.objects.create(name="Checkout")
    StatusComponent.objects.create(name="Search")
    incident = actions.open_incident(
        title="Inside", severity="critical", stamp=stamp(mim), affected_systems=["checkout"], publish_status=True,
        public_title="Orders fail",
    )  # fmt: skip
    actions.post_update(incident, "Baskets are kept.", visibility="public", stamp=stamp(mim, at("12:05")))
    with serving(MAJOROPS_STATUS_PAGE="1", MAJOROPS_STATUS_FOLDER=folder) as site:
        yield site


def exported(site: Site, folder: Path) -> dict[str, object]:
    services = {"ours": {"name": "Ours", "type": "status_page", "url": f"{site.url}/api/v2/summary.json"}}
    (folder / "services.json").write_text(json.dumps(services))
    environment = {**os.environ, "SERVICES_JSON_PATH": str(folder / "services.json")}
    done = subprocess.run(
        [sys.executable, "-c", EXPORTER], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_prometheus_exporter_reads_incident_components_and_status(live: Site, tmp_path: Path, mim: User) -> None:
    told = exported(live, tmp_path)
    incident = Incident.objects.get()
    assert (told["success"], told["status"], told["raw_status"]) == (True, 0, "critical")
    assert told["incident_metadata"] == [
        {
            "id": incident.public_id, "name": "Orders fail", "status": "investigating", "impact": "critical",
            "started_at": "2026-03-02T12:00:00.000Z", "updated_at": "2026-03-02T12:05:00.000Z",
            "shortlink": f"{live.url}/status/{incident.public_id}/", "affected_components": ["Checkout"],
        }
    ]  # fmt: skip
    assert told["component_metadata"] == [
        {"name": "Checkout", "status": "major_outage", "status_value": 0},
        {"name": "Search", "status": "operational", "status_value": 1},
    ]
    actions.resolve(incident, summary="Over.", reason="x", stamp=stamp(mim, at("13:00")))
    told = exported(live, tmp_path)
    assert (told["status"], told["raw_status"], told["incident_metadata"]) == (1, "none", [])


def test_a_feed_reader_gets_304_until_there_is_something_new(live: Site, mim: User) -> None:
    address = f"{live.url}/status/feed.atom"
    first = feedparser.parse(address)
    assert (first.status, first.bozo, first.version, len(first.entries)) == (200, False, "atom10", 1)
    again = feedparser.parse(address, etag=first.etag)
    assert (again.status, again.entries) == (304, [])
    actions.post_update(Incident.objects.get(), "Over soon.", visibility="public", stamp=stamp(mim, at("12:30")))
    newer = feedparser.parse(address, etag=first.etag)
    assert newer.status == 200
    assert [entry.id for entry in newer.entries[1:]] == [entry.id for entry in first.entries]
    assert newer.feed.updated_parsed > first.feed.updated_parsed
