"""Statuspage's own browser widget, fetched with npm, shows our status on a page of another site."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from playwright.sync_api import Browser, expect

from accounts.models import User
from incidents import actions
from incidents.models import Incident
from tests.factories import at, stamp
from tests.serving import Site, serving

pytestmark = pytest.mark.django_db(transaction=True)
WIDGET = "@statuspage/status-widget@1.0.5"
#: Seconds that npm may take. A machine without a registry says so sooner or later.
PATIENCE = 60


@pytest.fixture(scope="module")
def widget(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The widget's script, in a temporary folder; nothing of it is kept."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("widget")
    if npm is None:
        pytest.skip("NO NPM: there is no npm here (on Debian: apt install npm), so the Statuspage widget is not tried")
    try:
        subprocess.run([npm, "pack", WIDGET], cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
    except subprocess.SubprocessError as error:
        pytest.skip(f"NO WIDGET: npm could not fetch {WIDGET}, so the Statuspage widget is not tried: {error}")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, "gztar", filter="data")
    return folder / "package" / "dist" / "index.js"


@pytest.fixture
def live(settings: LazySettings, tmp_path: Path, mim: User) -> Iterator[Site]:
    folder = str(tmp_path / "status")
    settings.MAJOROPS_STATUS_PAGE, settings.MAJOROPS_STATUS_FOLDER = True, folder
    actions.open_incident(
        title="Inside", severity="critical", stamp=stamp(mim), publish_status=True, public_title="Orders fail"
    )
    with serving(MAJOROPS_STATUS_PAGE="1", MAJOROPS_STATUS_FOLDER=folder) as site:
        yield site


def shown(browser: Browser, widget: Path, site: Site, text: str) -> None:
    page = browser.new_page()
    page.set_content(f'<statuspage-widget src="{site.url}"></statuspage-widget>')
    page.add_script_tag(path=widget)
    expect(page.locator("statuspage-widget")).to_contain_text(text)
    page.close()


def test_the_widget_shows_the_outage_and_its_end(browser: Browser, widget: Path, live: Site, mim: User) -> None:
    shown(browser, widget, live, "Major Service Outage")
    actions.resolve(Incident.objects.get(), summary="Over.", reason="x", stamp=stamp(mim, at("13:00")))
    shown(browser, widget, live, "All Systems Operational")
