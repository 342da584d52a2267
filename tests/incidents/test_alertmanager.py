"""A real sender: Debian's Alertmanager fires and resolves against a running site. Nothing of it is made up."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from django.utils import timezone

from incidents.alerts import setup
from incidents.models import Incident, IntakeEvent, SourceAlert
from tests.serving import Site, serving

SENDER, TOOL = shutil.which("prometheus-alertmanager"), shutil.which("amtool")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not (SENDER and TOOL), reason="No Alertmanager here: apt-get install prometheus-alertmanager (CI has it)"
    ),
]

CONFIG = """
route: {{receiver: majorops, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: majorops
  webhook_configs:
  - url: {url}/api/v1/intake/prometheus/
    send_resolved: true
    http_config: {{authorization: {{type: Bearer, credentials: {secret}}}}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(is_so: Callable[[], bool], seconds: int = 60) -> None:
    """Waits for another process; fails if it never comes."""
    for _ in range(seconds * 5):
        if is_so():
            return
        time.sleep(0.2)
    pytest.fail("It never came.")


@contextmanager
def alertmanager(folder: Path, site: Site, secret: str) -> Iterator[str]:
    """A running Alertmanager that tells this site; its address."""
    config, address = folder / "alertmanager.yml", f"127.0.0.1:{free_port()}"
    config.write_text(CONFIG.format(url=site.url, secret=secret))
    assert SENDER
    command = [SENDER, f"--config.file={config}", f"--storage.path={folder}", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([*command, "--cluster.listen-address="], stdout=log, stderr=log)
    try:
        until(lambda: is_ready(f"http://{address}"))
        yield f"http://{address}"
    finally:
        running.terminate()
        running.wait(20)


def is_ready(address: str) -> bool:
    try:
        return bool(urlopen(f"{address}/-/ready", timeout=2).status == 200)  # noqa: S310
    except (URLError, OSError):
        return False


def amtool(address: str, *told: str) -> None:
    assert TOOL
    labels = ["alertname=CheckoutErrors", "severity=critical", "service=checkout"]
    notes = ["--annotation=summary=One in five checkouts fails"]
    command = [TOOL, f"--alertmanager.url={address}", "alert", "add", *labels, *notes, *told]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def test_a_real_alertmanager_opens_an_incident_and_clears_it(tmp_path: Path) -> None:
    made = setup.create(
        slug="prometheus", name="Prometheus", kind="alertmanager", policy="open", by=None, now=timezone.now()
    )
    with serving() as site, alertmanager(tmp_path, site, made.secret) as address:
        amtool(address)
        until(lambda: Incident.objects.exists())
        incident = Incident.objects.get()
        assert (incident.title, incident.severity) == ("One in five checkouts fails", "critical")
        assert incident.affected_systems == ["checkout"]
        assert incident.resolve_time is None
        amtool(address, f"--end={(timezone.now() - timedelta(seconds=1)).isoformat()}")
        until(lambda: SourceAlert.objects.get().state == "resolved")
    incident.refresh_from_db()
    assert incident.resolve_time is not None
    assert (incident.status, incident.resolved_at) == ("active", None)
    assert [event.verdict for event in IntakeEvent.objects.order_by("id")] == ["opened", "updated"]
    assert "Alertmanager" in IntakeEvent.objects.latest("id").headers["user-agent"]


def test_a_real_alertmanager_with_a_wrong_secret_is_refused(tmp_path: Path) -> None:
    setup.create(slug="prometheus", name="Prometheus", kind="alertmanager", by=None, now=timezone.now())
    with serving() as site, alertmanager(tmp_path, site, "in_wrong") as address:
        amtool(address)
        until(lambda: b"401" in (tmp_path / "log").read_bytes())
    assert not IntakeEvent.objects.exists()
