"""Pictures of every page, for the documentation: `python -m tests.browser.screens [words of names]`, or `make screens`.

The demo runs in a database of its own, is looked at in light, dark and on a phone, and is gone afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import chromium
from tests.browser.palette import smaller
from tests.run import ROOT

PICTURES = ROOT / "docs" / "screens"
IDENTITY = "Cf-Access-Authenticated-User-Email"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}
#: A phone shows this many screens of a page, if it has them.
SCREENS_OF_A_PHONE = 2


@dataclass(frozen=True, slots=True)
class Shot:
    """One page: its name as a file, who looks, at what, and what the caption says."""

    name: str
    person: str
    path: str
    caption: str
    #: What is pressed before the picture is taken.
    press: str = ""


LIVE, PAST, NOWHERE = "{live}", "{past}", "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SHOTS = [
    Shot("command", "mim", f"/incidents/{LIVE}/", "The command page: promise, phases, teams, log and figures at once."),
    Shot("log", "mim", f"/incidents/{LIVE}/log", "The log, with what was corrected and when nothing was written."),
    Shot("list", "mim", "/incidents/", "What is going on, and what went on."),
    Shot("declare", "mim", "/incidents/new", "A title and a severity are enough to begin."),
    Shot("resolve", "mim", f"/incidents/{LIVE}/resolve", "What is still missing, before it is closed."),
    Shot("edit", "mim", f"/incidents/{LIVE}/edit", "Impact and alert, each field with what it is for."),
    Shot("responder", "oncall", f"/r/{LIVE}", "For whoever was paged: one button, then the bridge."),
    Shot("stakeholder", "stakeholder", f"/incidents/{LIVE}/", "What stakeholders are told, and when they hear more."),
    Shot("executive", "executive", f"/incidents/{LIVE}/", "Business impact and risk, for executives."),
    Shot("brief", "stakeholder", f"/incidents/{LIVE}/brief", "The brief: what is new, and when the next word comes."),
    Shot("exec-list", "executive", "/exec/", "What goes on, the longest overdue promise first."),
    Shot("exec-brief", "executive", f"/incidents/{LIVE}/exec", "One page to decide on, which prints on one sheet."),
    Shot("summary", "mim", f"/incidents/{LIVE}/summary", "The executive summary: drafted, then accepted by a person."),
    Shot("resolved", "mim", f"/incidents/{PAST}/", "An incident that is over: the clocks stand."),
    Shot("review", "mim", f"/incidents/{PAST}/review", "A learning review, begun with what the record knows."),
    Shot("reviews", "mim", "/reviews/", "Which reviews are owed, and which are late."),
    Shot("survey", "mim", f"/incidents/{PAST}/survey", "How well people were kept informed."),
    Shot("incident-kpis", "mim", f"/incidents/{PAST}/kpis", "The KPIs of one incident."),
    Shot("kpis", "mim", "/kpis", "The catalogue: one definition for each KPI."),
    Shot("kpi", "mim", "/kpis/mttr", "One KPI: its formula, targets, figures and every version of its definition."),
    Shot("why", "mim", "{why}", "Why this number: the rows it was made of, and what was left out."),
    Shot("scorecard-exec", "executive", "/scorecards/exec", "The executive scorecard."),
    Shot("scorecard-stakeholder", "stakeholder", "/scorecards/stakeholder", "The scorecard for stakeholders."),
    Shot("scorecard-readiness", "mim", "/scorecards/readiness", "How fast teams come to the bridge."),
    Shot("teams", "mim", "/teams/", "Every team's dispatch credit, level by level."),
    Shot("team", "mim", "/teams/database/", "One team: its class, what made it, and what would move it."),
    Shot("packs", "mim", "/packs/", "Packs: whole systems of KPIs, and which are installed."),
    Shot("pack", "mim", "/packs/engineering-impact/", "A pack: what is measured, what is reached, what is missing."),
    Shot("pack-claims", "executive", "/packs/engineering-impact/claims", "What may be claimed, by its evidence."),
    Shot("pack-roadmap", "executive", "/packs/engineering-impact/roadmap", "What must be measured by when."),
    Shot("case-study", "executive", "/packs/engineering-impact/case-study", "Before and after, where both have proof."),
    Shot("centre", "mim", "/packs/operator-control-centre/", "What operators are measured by."),
    Shot("pulse", "mim", "/pulse", "Ops Pulse: the day at a glance, for a screen on the wall too."),
    Shot("anomalies", "mim", "/anomalies/", "Landing pages that behave oddly, and who looks after them."),
    Shot("assign", "mim", "/anomalies/{anomaly}", "A decision about one of them."),
    Shot(
        "tracker", "mim", "/packs/success-tracker/", "A programme of twelve weeks: its score, and what it is made of."
    ),
    Shot("tracker-tables", "mim", "/packs/success-tracker/tables", "The same KPIs side by side."),
    Shot("tracker-checklists", "mim", "/packs/success-tracker/checklists", "The milestones of each week."),
    Shot("tracker-roadmap", "mim", "/packs/success-tracker/roadmap", "Twelve weeks, and what is due by when."),
    Shot("pack-kpi", "mim", "/kpis/deployment-success-rate", "A KPI that is computed from facts, by repository."),
    Shot("kpi-alerts", "mim", "/kpi-alerts/", "Rules that watch KPIs: what fires, and who looks after it."),
    Shot("reports", "mim", "/reports/", "Reports stand as they were made."),
    Shot("report", "executive", "/reports/{weekly}", "The weekly report for executives."),
    Shot("alerts", "mim", "/alerts/", "Alerts of other systems that wait for a decision."),
    Shot("phase-dwell", "mim", "/phase-dwell", "Where the time of incidents goes, by phase."),
    Shot("arrivals", "mim", "/teams/arrivals", "How fast all teams come, side by side."),
    Shot("own-times", "engineer", "/me/response-times", "One's own response times, which nobody else sees."),
    Shot("admin", "admin", "/admin/", "Administration."),
    Shot("admin-facts", "admin", "/admin/kpis/fact/", "The facts as they came, found by kind."),
    Shot("admin-kinds", "admin", "/admin/kpis/factkind/", "What each kind of fact may hold."),
    Shot("admin-rules", "admin", "/admin/kpis/alertrule/", "The alert rules."),
    Shot("admin-sources", "admin", "/admin/incidents/intakesource/", "Who may send alerts, and what becomes of them."),
    Shot("admin-jobs", "admin", "/admin/majorops/jobrun/", "What ran in the background, and how it ended."),
    Shot("status", "stakeholder", "/status/", "The anonymous status page: what goes on, and the last two weeks."),
    Shot("status-incident", "stakeholder", "/status/{public}/", "One incident, as everybody may read it."),
    Shot("definition", "admin", "{definition}", "A KPI definition, as its owner edits it."),
    Shot(
        "preview",
        "admin",
        "{definition}",
        "What a change would do to the figures, before it is saved.",
        press="Preview",
    ),
    Shot("who", "mim", "/who", "In development, pick who you are."),
    Shot("403", "stakeholder", "/incidents/new", "A refusal says which role is needed, and who can grant it."),
    Shot("404", "mim", f"/incidents/{NOWHERE}/", "What does not exist for you looks as what does not exist."),
]

FIND = """
import json
from django.urls import reverse
from accounts.models import User
from incidents.models import Incident, StatusComponent
from teams.models import Membership, Team
from kpis.models import Fact, KpiDefinition, KpiObservation, Report
PUBLISHED = {"active": "Orders fail in region West", "resolved": "Search was slow"}
for row in Incident.objects.order_by("-detected_at")[:8]:
    Incident.objects.filter(pk=row.pk).update(publish_status=True, public_title=PUBLISHED.get(row.status, "Incident"))
StatusComponent.objects.create(name="Checkout", description="Baskets and payment.", systems=["Orders"])
StatusComponent.objects.create(name="Search", position=1)
oncall = User.objects.create_user("oncall@example.com", display_name="P. Nowak", role="stakeholder")
Membership.objects.create(team=Team.objects.get(slug="payments"), user=oncall)
rows = KpiObservation.objects.current().filter(kpi="mttr", window="all", dims_key="")
print(json.dumps({
    "live": Incident.objects.get(status="active").pk,
    "public": Incident.objects.get(status="active").public_id,
    "past": Incident.objects.filter(status="resolved", severity="critical").latest("detected_at").pk,
    "why": reverse("kpis:observation", args=["mttr", rows.latest("timestamp").pk]),
    "anomaly": Fact.objects.filter(kind="ga.sessions.anomaly").latest("occurred_at").pk,
    "weekly": Report.objects.get(kind="weekly-executive").pk,
    "definition": reverse("admin:kpis_kpidefinition_change", args=["mttr"]),
}))
"""

#: The demo has no programme; for its pictures one began three weeks ago.
TRACKED = """
from datetime import timedelta
from django.utils import timezone
from kpis.actions import Editor
from kpis.facts import ingest
from kpis.packs import files
from kpis.packs.install import install
from majorops.lib.times import iso, to_millisecond
NOW = to_millisecond(timezone.now())
BEGAN = NOW - timedelta(days=24)
install(files.pack("success-tracker"), Editor(None, BEGAN), start=BEGAN.date())
TOLD = []
def tell(kind, days, subject="", **payload):
    at = iso(NOW - timedelta(days=days))
    TOLD.append({"kind": kind, "occurredAt": at, "payload": payload, **({"subject": subject} if subject else {})})
for week in range(4):
    days = 23.5 - 7 * week
    scores = {"compliance": 46, "performance": 78, "operational": 84} | ({"business_value": 31} if week else {})
    for category, score in scores.items():
        tell("category.score", days, category=category, score=score + 4 * week)
    controls = {"authentication": 14, "authorization": 11, "api_security": 9, "encryption": 8, "rate_limiting": 6}
    for control, score in controls.items():
        tell("security.control", days, control=control, score=score + week)
    teams = {"security": 9, "compliance": 11, "infrastructure": 10, "financial": 6, "integration": 5}
    for place, (team, points) in enumerate(teams.items()):
        tell("story.planned", days - 0.1, team=team, points=points + 4)
        tell("story.completed", days - 0.2, team=team, points=points + week)
        tell("ci.coverage", days - 0.3, team=team, suite="unit", percent=64 + 5 * week + 2 * place)
for number, (category, severity) in enumerate((("xss", "high"), ("dependency", "high"), ("configuration", "medium"))):
    tell("scan.finding", 1.5, finding_id=str(number), category=category, severity=severity, state="open")
LAWS = {"tcpa": ("calling_hours", "dnc_check", "opt_out"), "gdpr": ("encryption_at_rest", "consent")}
for law, requirements in LAWS.items():
    for place, requirement in enumerate(requirements):
        tell("control.status", 2, law=law, requirement=requirement, percent=85 - 20 * place)
for key in ("week-1-1", "week-1-2", "week-1-3", "week-2-1", "week-2-2"):
    tell("milestone.done", 12, subject=key, done=True)
for key in ("security-lead", "security-engineers", "security-environment", "compliance-lead"):
    tell("team.formed", 15, subject=key, done=True)
REPORT = ingest.append_events(enumerate(TOLD, start=1), source="demo", now=NOW)
assert not REPORT.errors, REPORT.errors[0]
"""


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, dict[str, str], Callable[..., str]]]:
    """The demo at an address of its own, where its pages are, and how to run more in it."""
    import json

    environment = {
        **os.environ, "DEBUG": "1", "MAJOROPS_AUTH_MODE": "dev", "DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3",
        "DJANGO_SETTINGS_MODULE": "majorops.settings", "MAJOROPS_STATUS_PAGE": "1",
        "MAJOROPS_STATUS_NAME": "Example", "MAJOROPS_STATUS_FOLDER": f"{folder}/status",
    }  # fmt: skip

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    run("manage.py", "migrate", "--verbosity", "0")
    run("-c", "from majorops.cli import main; main()", "demo", "load")
    places: dict[str, str] = json.loads(run("-c", f"import django; django.setup()\n{FIND}"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["-m", "uvicorn", "majorops.asgi:application", "--fd", str(listener.fileno()), "--log-level", "error"]
        server = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, pass_fds=[listener.fileno()])
        try:
            asked = HTTPConnection("127.0.0.1", port, timeout=60)
            asked.request("GET", "/healthz")
            asked.getresponse().read()
            asked.close()
            yield f"http://127.0.0.1:{port}", places, run
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)


def take(browser: Browser, url: str, shot: Shot, look: str, places: dict[str, str]) -> Path:
    """One picture. The second hand of a clock is the only thing that differs between two runs on one day."""
    context = browser.new_context(
        base_url=url, extra_http_headers={IDENTITY: f"{shot.person}@example.com"}, reduced_motion="reduce",
        timezone_id="UTC", locale="en-GB", **LOOKS[look],
    )  # fmt: skip
    page = context.new_page()
    page.goto(shot.path.format(**places))
    if shot.press:
        with context.expect_page() as opened:
            page.get_by_role("button", name=shot.press).click()
        page = opened.value
        page.wait_for_load_state()
    page.evaluate("document.fonts.ready")
    time.sleep(0.2)
    file = PICTURES / f"{shot.name}-{look}.png"
    taken = page.screenshot(clip=_visible(page, look))
    page.goto("about:blank")
    file.write_bytes(smaller(page, taken))
    context.close()
    return file


def _visible(page: Page, look: str) -> Any:
    if look != "phone":
        return None
    size = LOOKS[look]["viewport"]
    height = min(page.evaluate("document.documentElement.scrollHeight"), SCREENS_OF_A_PHONE * size["height"])
    page.set_viewport_size({"width": size["width"], "height": height})
    return {"x": 0, "y": 0, "width": size["width"], "height": height}


def album() -> str:
    """docs/screens.md."""
    told = ["# Screens", "", "Every page of the demo, as `make screens` takes them: light, dark, and on a phone.", ""]
    for shot in SHOTS:
        told += [
            f"## {shot.name}", "", shot.caption, "",
            f"![{shot.name}, light](screens/{shot.name}-light.png)", "",
            f"[dark](screens/{shot.name}-dark.png) · [phone](screens/{shot.name}-phone.png)", "",
        ]  # fmt: skip
    return "\n".join(told)


def main(words: list[str]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    wanted = [shot for shot in SHOTS if not words or any(re.search(word, shot.name) for word in words)]
    tracked = [shot for shot in wanted if shot.name.startswith("tracker")]
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as (url, places, run), sync_playwright() as player:
        chrome = player.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for shot in sorted(wanted, key=lambda shot: shot in tracked):
            if tracked and shot is tracked[0]:
                run("-c", f"import django; django.setup()\n{TRACKED}")
                run("-c", "from majorops.cli import main; main()", "kpi", "nightly", "--days", "24")
            for look in LOOKS:
                print(take(chrome, url, shot, look, places).relative_to(ROOT), flush=True)
        chrome.close()
    (ROOT / "docs" / "screens.md").write_text(album())


if __name__ == "__main__":
    main(sys.argv[1:])
