"""The status page while the database is away, while others write, and while nothing public happens."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Barrier, Thread

import feedparser
import msgspec
import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts.models import User
from incidents import actions, status_snapshot
from incidents.models import Incident
from tests.factories import NOON, at, stamp
from tests.serving import Site, database_url, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.MAJOROPS_STATUS_PAGE = True
    settings.MAJOROPS_STATUS_FOLDER = str(tmp_path / "status")
    return tmp_path / "status"


@pytest.fixture
def incident(folder: Path, mim: User) -> Incident:
    made = actions.open_incident(
        title="Inside", severity="critical", stamp=stamp(mim), publish_status=True, public_title="Orders fail"
    )
    actions.post_update(made, "Baskets are kept.", visibility="public", stamp=stamp(mim, at("12:05")))
    return made


def kept(folder: Path) -> status_snapshot.Snapshot:
    return msgspec.json.decode((folder / "board.json").read_bytes(), type=status_snapshot.Snapshot)


# --- The file follows what is public, and nothing else ---


def test_the_file_is_rewritten_when_something_public_happens(folder: Path, incident: Incident, mim: User) -> None:
    actions.post_update(incident, "Half done.", visibility="public", stamp=stamp(mim, at("12:30")))
    assert [word.body for word in kept(folder).board.incidents[0].words] == ["Half done.", "Baskets are kept."]


def test_what_is_taken_off_the_page_leaves_the_file(folder: Path, incident: Incident, mim: User) -> None:
    actions.edit_incident(incident, {"publish_status": False}, stamp=stamp(mim, at("12:30")))
    assert kept(folder).board.incidents == ()


def test_nothing_internal_touches_the_file(folder: Path, incident: Incident, mim: User) -> None:
    before = (folder / "board.json").stat()
    actions.post_entry(incident, "Disk swapped", stamp=stamp(mim, at("12:30")))
    actions.post_update(incident, "Vendor called", visibility="internal", stamp=stamp(mim, at("12:31")))
    actions.open_incident(title="Other", severity="critical", stamp=stamp(mim, at("12:32")))
    after = (folder / "board.json").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_broken_file_is_no_file(folder: Path, incident: Incident) -> None:
    for broken in (b"", b"{", b'{"shape": 0}', b"[]"):
        (folder / "board.json").write_bytes(broken)
        status_snapshot._memories.clear()
        reading = status_snapshot.read(NOON)
        assert reading is not None
        assert len(reading.board.incidents) == 1


def test_a_folder_that_cannot_be_written_stops_nobody(settings: LazySettings, folder: Path, incident: Incident) -> None:
    settings.MAJOROPS_STATUS_FOLDER = "/proc/nowhere"
    reading = status_snapshot.read(NOON)
    assert reading is not None
    assert len(reading.board.incidents) == 1


def test_many_at_once_never_read_half_a_file(folder: Path, incident: Incident) -> None:
    found: list[int] = []
    start = Barrier(6)

    def look(number: int) -> None:
        start.wait()
        for turn in range(20):
            reading = status_snapshot.read(NOON + timedelta(minutes=number * 20 + turn))
            found.append(len(reading.board.incidents) if reading else -1)
        connection.close()

    threads = [Thread(target=look, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 120
    assert [file.name for file in folder.iterdir() if file.name.startswith(".board-")] == []


# --- The database is away: a server of its own, whose database nobody answers for ---


@pytest.fixture
def away(tmp_path: Path, folder: Path, incident: Incident) -> Iterator[Site]:
    """A server that lost its database: the same address, but nobody listens, or the file is no database."""
    if database_url().startswith("sqlite"):
        (tmp_path / "gone.sqlite3").write_bytes(b"this is not a database" * 99)
        url = f"sqlite:///{tmp_path}/gone.sqlite3"
    else:
        url = "postgres://majorops@127.0.0.1:1/majorops"
    told = {"MAJOROPS_STATUS_PAGE": "1", "MAJOROPS_STATUS_FOLDER": str(folder), "DATABASE_URL": url}
    with serving(**told) as site:
        yield site


def fetch(site: Site, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=30)) as asked:
        asked.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = asked.getresponse()
        return answer, answer.read()


def age(folder: Path, by: timedelta) -> None:
    """As if the database had last answered so long ago."""
    snapshot = json.loads((folder / "board.json").read_bytes())
    snapshot["checked_at"] = (timezone.now() - by).isoformat()
    (folder / "board.json").write_text(json.dumps(snapshot))


def test_without_a_database_the_last_snapshot_is_served_with_its_age(
    away: Site, folder: Path, incident: Incident
) -> None:
    age(folder, timedelta(minutes=10))
    page, body = fetch(away, "/status/", Cookie="sessionid=abc", Cf_Access_Authenticated_User_Email="mim@example.com")
    assert (page.status, page.headers["Warning"]) == (200, '110 - "Response is Stale"')
    assert int(page.headers["Age"]) >= 600
    assert b"Orders fail" in body
    assert b"This page is from" in body
    assert b"(10 min ago)" in body
    one, body = fetch(away, f"/status/{incident.public_id}/")
    assert (one.status, b"Baskets are kept." in body) == (200, True)
    summary, body = fetch(away, "/api/v2/summary.json")
    assert (summary.status, summary.headers["Warning"]) == (200, '110 - "Response is Stale"')
    assert json.loads(body)["stale"].keys() == {"as_of"}
    assert json.loads(body)["status"]["indicator"] == "critical"
    feed, body = fetch(away, "/status/feed.atom")
    assert (feed.status, int(feed.headers["Age"]) >= 600) == (200, True)
    assert [entry.summary for entry in feedparser.parse(body).entries] == ["<p>Baskets are kept.</p>"]


def test_without_a_database_and_without_a_snapshot_it_says_so(away: Site, folder: Path) -> None:
    (folder / "board.json").unlink()
    page, body = fetch(away, "/status/", Accept="text/html")
    assert (page.status, page.headers["Retry-After"]) == (503, "15")
    assert b"cannot be read" in body
    told, body = fetch(away, "/api/v2/status.json")
    assert (told.status, json.loads(body)["code"]) == (503, "status_unavailable")


def test_a_database_that_goes_away_under_a_running_server(folder: Path, incident: Incident, tmp_path: Path) -> None:
    """The same process, before and after; and a process that was just started serves the same snapshot."""
    if not database_url().startswith("sqlite"):
        pytest.skip("PostgreSQL is gone from the start in the test above; stopping it would take other tests with it")
    copy = tmp_path / "copy.sqlite3"
    with closing(sqlite3.connect(database_url().removeprefix("sqlite:///"))) as source:
        source.execute("VACUUM INTO ?", [str(copy)])
    told = {"MAJOROPS_STATUS_PAGE": "1", "MAJOROPS_STATUS_FOLDER": str(folder), "DATABASE_URL": f"sqlite:///{copy}"}
    with serving(**told) as site:
        fresh, _ = fetch(site, "/api/v2/summary.json")
        assert (fresh.status, fresh.headers["Warning"]) == (200, None)
        copy.unlink()
        copy.mkdir()
        age(folder, timedelta(minutes=3))
        stale, body = fetch(site, "/api/v2/summary.json")
        assert (stale.status, stale.headers["Warning"]) == (200, '110 - "Response is Stale"')
        assert json.loads(body)["incidents"][0]["name"] == "Orders fail"
        site.stop(signal.SIGKILL)
        site.start()
        again, _ = fetch(site, "/status/")
        assert again.status == 200
        assert fetch(site, "/readyz")[0].status == 503
