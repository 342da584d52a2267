"""`mim` over the API: each command says there what it says on the database, and touches no database to say it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest
from django.db import connection
from django.utils import timezone
from typer.testing import CliRunner, Result

from accounts.models import AuditEvent
from accounts.scopes import Scope
from incidents.alerts import setup
from incidents.alerts.inbox import Delivery, receive
from incidents.lifecycle import Status
from incidents.models import Incident
from kpis import cli_remote
from kpis.backfills import carry_out
from kpis.compute import last_midnight
from kpis.models import KpiDefinition
from majorops.cli import app
from majorops.lib.times import iso
from tests.accounts.programs import integration, token_of
from tests.factories import IncidentFactory, TeamFactory
from tests.kpis.facts import define, event, ndjson
from tests.serving import Site, serving
from tests.test_cli import mim

pytestmark = pytest.mark.django_db(transaction=True)

#: What no scope lets a program read.
FOR_EXECUTIVES = ("businessImpact", "riskLevel", "execSummary", "decisionAsked")
ALL = (
    Scope.INCIDENTS_READ_INTERNAL, Scope.INCIDENTS_WRITE, Scope.TIMELINE_WRITE, Scope.PUBLISH, Scope.TEAMS_READ,
    Scope.KPIS_READ, Scope.KPIS_WRITE, Scope.KPIS_DEFINE, Scope.FACTS_WRITE,
)  # fmt: skip
Mim = Callable[..., Result]


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[Site]:
    """One server for all tests of this file: it holds nothing between them."""
    with serving() as site:
        yield site


def here(*arguments: str) -> Result:
    """On the database."""
    return CliRunner().invoke(app, list(arguments), env={"MIM_URL": None, "MIM_TOKEN": None, "MIM_AS": None})


@pytest.fixture
def there(site: Site) -> Mim:
    """Over the API, by a program that may do everything a program may. A query of its own fails it."""
    token = token_of(integration(*ALL, name="CLI"))

    def run(*arguments: str, **environment: str) -> Result:
        told = {"MIM_URL": site.url, "MIM_TOKEN": token, "MIM_AS": None, **environment}
        with connection.execute_wrapper(no_query):
            return CliRunner().invoke(app, list(arguments), env=told)

    return run


def no_query(execute: object, sql: str, *rest: object) -> None:
    raise AssertionError(f"asked the database: {sql[:200]}")


def told(result: Result) -> tuple[int, str, str]:
    """All that was said, without what differs between two incidents alike."""
    plain = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ID", f"{result.stdout}\0{result.stderr}")
    return result.exit_code, *plain.split("\0")  # type: ignore[return-value]


def ago(minutes: float) -> str:
    return str(iso(timezone.now() - timedelta(minutes=minutes)))


@pytest.fixture
def incidents() -> list[Incident]:
    """Two that are alike."""
    TeamFactory(slug="database", name="Database")
    begun = timezone.now() - timedelta(hours=2)
    return [IncidentFactory(title="Uploads fail", detected_at=begun, phase_entered_at=begun) for _ in range(2)]


# --- Reading ---


@pytest.mark.parametrize(
    "options",
    [[], ["--status", "all"], ["--status", "resolved"], ["--limit", "1"], ["--json", "--fields", "id,alert.alertId"],
     ["--csv", "--fields", "id,status,detectedAt"], ["--jq-lines", "--fields", "id,version"]],
)  # fmt: skip
def test_the_list_is_the_same(there: Mim, incidents: list[Incident], options: list[str]) -> None:
    IncidentFactory(closed=True)
    local, remote = here("incident", "list", *options), there("incident", "list", *options)
    assert (remote.exit_code, remote.stdout, remote.stderr) == (0, local.stdout, local.stderr)


@pytest.mark.parametrize("command", [["show"], ["watch", "--once"], ["export", "--format", "csv"]])
def test_one_incident_is_the_same(there: Mim, incidents: list[Incident], command: list[str]) -> None:
    pk = incidents[0].pk
    here("incident", "log", pk, "Failover started")
    verb, *options = command
    local, remote = here("incident", verb, pk, *options), there("incident", verb, pk, *options)
    assert (remote.exit_code, remote.stdout, remote.stderr) == (0, local.stdout, local.stderr)
    assert "Failover started" in remote.stdout


def test_json_is_the_same_but_for_what_executives_read(there: Mim, incidents: list[Incident]) -> None:
    local, remote = (run("incident", "show", incidents[0].pk, "--json").stdout for run in (here, there))
    readable = {name: value for name, value in json.loads(local).items() if name not in FOR_EXECUTIVES}
    assert remote == json.dumps(readable, indent=2, ensure_ascii=False) + "\n"


def test_a_long_list_is_read_page_by_page(there: Mim) -> None:
    IncidentFactory.create_batch(205)
    remote = there("incident", "list", "--limit", "204", "--jq-lines", "--fields", "id")
    assert remote.stdout == here("incident", "list", "--limit", "204", "--jq-lines", "--fields", "id").stdout
    assert remote.stdout.count("\n") == 204


@pytest.fixture
def figures(incidents: list[Incident]) -> Incident:
    """A resolved incident, its figures, and a review that is owed."""
    incident = incidents[0]
    here("team", "page", incident.pk, "database", "--at", ago(30))
    here("team", "arrived", incident.pk, "database", "--at", ago(20))
    here("incident", "resolve", incident.pk, "--summary", "Over.", "--at", ago(10))
    here("kpi", "backfill", "--all", "--to", ago(0))
    return incident


@pytest.mark.parametrize(
    "words",
    [
        ["kpi", "list"],
        ["kpi", "list", "--json"],
        ["kpi", "list", "--csv"],
        ["kpi", "show", "mttr"],
        ["kpi", "show", "mttr", "--json"],
        ["kpi", "show", "mtrt"],
        ["kpi", "observations"],
        ["kpi", "observations", "mttr", "--json"],
        ["kpi", "observations", "mttr", "--incident", "ID", "--jq-lines"],
        ["kpi", "observations", "mttrr"],
        ["kpi", "why", "mttr"],
        ["kpi", "why", "mttr", "--json"],
        ["kpi", "why", "mttr", "--incident", "ID"],
        ["kpi", "why", "team-page-to-bridge", "--incident", "ID"],
        ["kpi", "why", "nothing"],
        ["kpi", "why", "mttr", "--observation", "nothing"],
        ["kpi", "alert", "list"],
        ["kpi", "alert", "list", "--json"],
        ["team", "list", "--csv", "--fields", "slug,name,ratedBox"],
        ["team", "list"],
        ["team", "readiness", "database", "--as-of", "2030-01-01"],
        ["review", "due", "--json"],
        ["review", "follow-ups"],
        ["review", "open", "ID"],
        ["review", "open", "01JD8Q6Z6ZJ5C0M5RKVX9T3W4E"],
        ["review", "open", "nothing"],
        ["team", "readiness", "--as-of", "2030-01-01"],
        ["team", "readiness", "--as-of", "2026-03-02", "--window", "30d", "--json"],
        ["team", "readiness", "--window", "7d"],
        ["alert", "list"],
        ["report", "list"],
        ["report", "pulse"],
        ["report", "pulse", "--json"],
        ["report", "health"],
        ["kpi", "diff", "mttr"],
        ["kpi", "diff", "mttr", "7"],
        ["kpi", "dwell"],
        ["kpi", "dwell", "--window", "all", "--csv"],
        ["kpi", "dwell", "--window", "3d"],
        ["report", "metrics", "engineering-impact"],
        ["report", "metrics", "nope"],
        ["kpi", "validate"],
        ["kpi", "validate", "--json"],
        ["kpi", "preview", "mttr"],
        ["kpi", "preview", "mtrt"],
        ["kpi", "export", "--format", "grafana", "--kpi", "mttr"],
        ["kpi", "export", "--format", "openslo"],
        ["kpi", "export", "--format", "excel"],
        ["kpi", "export", "somewhere", "--kpi", "mtrt"],
        ["kpi", "backfill", "--kpi", "mttr", "--from", "2026-03-01", "--dry-run"],
        ["kpi", "backfill", "--kpi", "mttr", "--kpi", "mtta", "--dry-run", "--json"],
        ["kpi", "backfill", "--all", "--incident", "ID", "--dry-run"],
        ["kpi", "backfill", "--kpi", "mttr", "--incident", "ID", "--json"],
        ["kpi", "backfill", "--kpi", "mttr", "--incident", "nothing"],
        ["kpi", "backfill", "--kpi", "mtrt"],
        ["kpi", "backfill"],
        ["kpi", "backfill", "--kpi", "mttr", "--from", "2026-03-02", "--to", "2026-03-01"],
        ["kpi", "backfill", "--kpi", "mttr", "--to", "2090-01-01"],
        ["fact", "tail", "--csv"],
        ["log", "tail", "ID", "--csv", "--fields", "title,actor"],
        ["incident", "show", "ID", "--tz", "Europe/Rome", "-q"],
        ["report", "show", "nothing"],
    ],
)
def test_figures_are_the_same(there: Mim, figures: Incident, words: list[str]) -> None:
    named = [figures.pk if word == "ID" else word for word in words]
    local, remote = here(*named), there(*named)
    assert (remote.exit_code, remote.stdout, remote.stderr) == (local.exit_code, local.stdout, local.stderr)
    assert remote.exit_code in (0, 4, 5)


def test_definitions_go_out_and_come_in_the_same(there: Mim, figures: Incident, tmp_path: Path) -> None:
    local, remote = (run("kpi", "export", str(tmp_path / run.__name__)) for run in (here, there))
    assert (remote.exit_code, remote.stdout.replace("/run", "/here")) == (0, local.stdout)
    files = {file.name: file.read_text() for file in (tmp_path / "here").iterdir()}
    assert files == {file.name: file.read_text() for file in (tmp_path / "run").iterdir()}
    file = tmp_path / "mttr.yaml"
    file.write_text(files["mttr.yaml"].replace("Ops Leader", "Duty lead").replace("agg: avg", "agg: max"))
    for words in (
        ["import", str(file), "--dry-run"],
        ["validate", str(file)],
        ["preview", "mttr", "--file", str(file)],
    ):
        local, remote = here("kpi", *words), there("kpi", *words)
        assert (remote.exit_code, remote.stdout, remote.stderr) == (0, local.stdout, local.stderr)
    assert there("kpi", "import", str(file), "--reason", "From git.").exit_code == 0
    assert KpiDefinition.objects.get(pk="mttr").owner == "Duty lead"
    local, remote = here("kpi", "preview", "mttr", "--json"), there("kpi", "preview", "mttr", "--json")
    assert (remote.exit_code, remote.stdout) == (0, local.stdout)
    program = AuditEvent.objects.filter(action="kpi_definition_change").latest("at")
    assert (program.actor_name, program.reason) == ("CLI", "From git.")


def test_a_backfill_is_carried_out_by_a_worker_and_told_the_same(
    there: Mim, figures: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worker() -> None:
        carry_out.call("mttr", None, iso(last_midnight(timezone.now())))
        connection.close()

    late = Timer(1, worker)
    late.start()
    remote, local = there("kpi", "backfill", "--kpi", "mttr"), here("kpi", "backfill", "--kpi", "mttr")
    late.join()
    assert (remote.exit_code, "new" in remote.stdout) == (0, True), remote.stderr
    assert remote.stdout.splitlines()[1:] == local.stdout.splitlines()[1:]
    monkeypatch.setattr(cli_remote, "PATIENCE", 0.1)
    waits = there("kpi", "backfill", "--kpi", "mtta")
    assert (waits.exit_code, "no worker goes on with it" in waits.stderr) == (1, True)


def test_a_candidate_is_decided_the_same(there: Mim, incidents: list[Incident]) -> None:
    made = setup.create(kind="generic", slug="plain", name="Plain", by=None, now=timezone.now())
    for number in range(6):
        body = {"dedup_key": f"k{number}", "title": "Disk full", "state": "firing"}
        receive(made.source, Delivery(json.dumps(body).encode()), now=timezone.now())
    listed = there("alert", "list", "--json")
    assert listed.stdout == here("alert", "list", "--json").stdout
    ids = iter(row["id"] for row in json.loads(listed.stdout))
    for words in (
        ["accept", "CANDIDATE", "--severity", "high"],
        ["attach", "CANDIDATE", incidents[0].pk],
        ["dismiss", "CANDIDATE", "--reason", "Planned work"],
    ):
        pair = [run("alert", *(next(ids) if w == "CANDIDATE" else w for w in words)) for run in (here, there)]
        assert told(pair[1]) == told(pair[0])
        assert pair[1].exit_code == 0, pair[1].stderr
    assert json.loads(there("alert", "list", "--json").stdout) == []


def test_a_report_is_made_the_same(there: Mim, figures: Incident) -> None:
    local, remote = (run("report", "metrics") for run in (here, there))
    assert (remote.exit_code, remote.stdout.splitlines()[3:]) == (0, local.stdout.splitlines()[3:])
    local, remote = (run("report", "weekly", "--mail") for run in (here, there))
    when = r"made .*"  # one was made a second later
    assert [re.sub(when, "", said) for said in told(remote)[1:]] == [re.sub(when, "", said) for said in told(local)[1:]]
    assert (remote.exit_code, len(json.loads(there("report", "list", "--json").stdout))) == (0, 2)


def test_a_report_is_the_same(there: Mim, figures: Incident) -> None:
    here("report", "exec")
    [kept] = json.loads(here("report", "list", "--json").stdout)
    for options in ([], ["--json"]):
        local, remote = (run("report", "show", kept["id"], *options) for run in (here, there))
        assert (remote.exit_code, remote.stdout, remote.stderr) == (0, local.stdout, local.stderr)


def test_facts_are_sent_once(there: Mim, tmp_path: Path) -> None:
    define("deployed", "health_check")
    words = ["fact", "append", "deployed", "repo=shop", "deploy_id=42", "--at", ago(5)]
    assert there(*words).stdout.startswith("Appended: ")
    assert there(*words).stdout.startswith("Already there: ")
    assert there("fact", "append", "health_check", "service=api", "ok:=true").exit_code == 0
    for options in ([], ["--json"], ["--kind", "deployed"]):
        assert there("fact", "tail", *options).stdout == here("fact", "tail", *options).stdout != ""


def test_a_file_of_facts_is_sent_and_what_is_wrong_is_named_by_its_line(there: Mim, tmp_path: Path) -> None:
    define("health_check")
    file = tmp_path / "facts.jsonl"
    lines = [event("health_check", "10:00", service="api", ok=True), {"kind": "nope"}]
    file.write_bytes(ndjson(lines) + b"\nno json\n")
    remote, local = there("fact", "import", str(file)), here("fact", "import", str(file))
    assert (remote.exit_code, remote.stderr) == (7, local.stderr)
    assert remote.stdout.startswith("3 read: 1 new, 0 there already, 2 refused.")


# --- Acting ---


@pytest.mark.parametrize(
    "words",
    [
        ["phase", "ID", "2"],
        ["advance", "ID", "5"],
        ["status", "ID", "monitoring"],
        ["log", "ID", "Failover started", "--description", "By hand"],
        ["update", "ID", "We look."],
        ["update", "ID", "We look.", "--public"],
        ["milestone", "ID", "Fault found", "--body", "We move traffic.", "--next-update", "2h"],
        ["page", "ID", "Database", "--contact", "J. Doe"],
        ["resolve", "ID", "--summary", "It is over."],
    ],
)
def test_each_act_is_told_the_same(there: Mim, incidents: list[Incident], words: list[str]) -> None:
    at = ago(5)
    local, remote = (
        run("incident", *(row.pk if word == "ID" else word for word in words), "--at", at)
        for run, row in zip((here, there), incidents, strict=True)
    )
    assert told(remote) == told(local)
    assert (remote.exit_code, remote.stdout[:24]) == (0, at)
    assert incidents[1].timeline.latest("recorded_at").actor == "CLI"


def test_a_team_is_paged_acknowledges_and_arrives_the_same(there: Mim, incidents: list[Incident]) -> None:
    for minutes, verb in ((9, "page"), (8, "ack"), (7, "arrived")):
        pair = zip((here, there), incidents, strict=True)
        local, remote = (run("team", verb, row.pk, "database", "--at", ago(minutes)[:17] + "00Z") for run, row in pair)
        assert told(remote) == told(local)
        assert remote.exit_code == 0
    assert all(row.team_pages.get().arrived_at for row in incidents)


def test_a_promise_moves_and_a_resolved_incident_is_taken_up_the_same(there: Mim, incidents: list[Incident]) -> None:
    for words in (
        ["milestone", "ID", "Found", "--body", "We fix it.", "--next-update", "2h", "--at", ago(1)],
        ["promise", "ID", "3h", "--reason", "The vendor looks"],
        ["resolve", "ID", "--summary", "Over."],
        ["reopen", "ID", "--reason", "It is back."],
    ):
        pair = zip((here, there), incidents, strict=True)
        results = [run("incident", *(row.pk if w == "ID" else w for w in words)) for run, row in pair]
        local, remote = (told(result) for result in results)
        assert (remote[0], remote[1][24:], remote[2]) == (0, local[1][24:], local[2])


def test_an_incident_is_declared_over_the_api(there: Mim) -> None:
    result = there("incident", "declare", "Uploads fail", "-s", "high", "--system", "API", "--at", "-7m", "--json")
    assert result.exit_code == 0, result.stderr
    incident = Incident.objects.get()
    assert json.loads(result.stdout)["id"] == incident.pk
    assert (incident.severity, incident.affected_systems, incident.kind) == ("high", ["API"], "real")
    assert timedelta(minutes=6) < timezone.now() - incident.detected_at < timedelta(minutes=8)


# --- Refusals ---


@pytest.mark.parametrize(
    "words",
    [
        ["incident", "show", "nothing"],
        ["incident", "show", "01JD8Q6Z6ZJ5C0M5RKVX9T3W4E"],
        ["incident", "phase", "ID", "1"],
        ["incident", "phase", "ID", "2", "--at", "soon"],
        ["incident", "page", "ID", "databse"],
        ["incident", "arrive", "ID", "database"],
        ["incident", "milestone", "ID", "Found", "--body", "We fix it."],
        ["incident", "list", "--json", "--fields", "titel"],
    ],
)
def test_each_refusal_is_the_same(there: Mim, incidents: list[Incident], words: list[str]) -> None:
    named = [incidents[0].pk if word == "ID" else word for word in words]
    local, remote = here(*named), there(*named)
    assert (remote.exit_code, remote.stdout, remote.stderr) == (local.exit_code, local.stdout, local.stderr)
    assert remote.exit_code not in (0, 1)


def test_what_the_scopes_do_not_allow_exits_3(site: Site, there: Mim, incidents: list[Incident]) -> None:
    weak = token_of(integration(Scope.INCIDENTS_READ, name="Reader"))
    result = there("incident", "update", incidents[0].pk, "We look.", MIM_TOKEN=weak)
    assert (result.exit_code, "incidents:write" in result.stderr) == (3, True)
    assert there("incident", "list", MIM_TOKEN="mo_nobody_nothing").exit_code == 3


@pytest.mark.parametrize(
    "words", [["user", "list"], ["kpi", "nightly"], ["incident", "import", __file__, "--format", "volvo"],
              ["token", "list"], ["worker"], ["team", "import", "dispatches", __file__], ["demo", "load"]],
)  # fmt: skip
def test_what_needs_the_database_says_so_and_exits_2(there: Mim, words: list[str]) -> None:
    result = there(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: mim {words[0]}")
    assert "MIM_URL" in result.stderr


@pytest.mark.parametrize("option", [["--as", "mim@example.com"], ["--dry-run"]])
def test_what_a_token_cannot_ask_for_is_refused(there: Mim, incidents: list[Incident], option: list[str]) -> None:
    result = there("incident", "update", incidents[0].pk, "We look.", *option)
    assert (result.exit_code, option[0] in result.stderr, incidents[0].timeline.count()) == (2, True, 0)


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"MIM_TOKEN": ""}, 3, "MIM_TOKEN is not"),
        ({"MIM_TOKEN": "two words"}, 3, "MIM_TOKEN is no token"),
        ({"MIM_URL": "majorops.example.com"}, 3, "MIM_URL is an address"),
        ({"MIM_URL": "http://majorops.example.com"}, 3, "Use https"),
        ({"MIM_URL": "http://127.0.0.1:1"}, 1, "does not answer"),
        ({"MIM_HEADERS": "abc"}, 3, "MIM_HEADERS"),
        ({"MIM_URL": "http://[::1"}, 3, "MIM_URL is an address"),
        ({"MIM_URL": "http://localhost:99999"}, 3, "MIM_URL is an address"),
        ({"MIM_URL": "http://me:secret@localhost"}, 3, "nothing else"),
        ({"MIM_URL": "http://localhost/?a=b"}, 3, "nothing else"),
    ],
)
def test_a_connection_that_cannot_be_is_told(there: Mim, environment: dict[str, str], code: int, says: str) -> None:
    result = there("incident", "list", **environment)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_the_server_may_be_named_by_an_option(there: Mim, site: Site, incidents: list[Incident]) -> None:
    result = there("incident", "list", "--url", site.url, "-v", MIM_URL="")
    assert (result.exit_code, result.stdout) == (0, here("incident", "list").stdout)
    assert f"GET {site.url}/api/v1/incidents" in result.stderr


def test_a_laptop_needs_no_settings_and_no_database(site: Site, incidents: list[Incident]) -> None:
    token = token_of(integration(*ALL, name="CLI"))
    result = mim("incident", "list", "--status", "all", MIM_URL=site.url, MIM_TOKEN=token, DATABASE_URL="nonsense")
    assert (result.returncode, result.stdout) == (0, here("incident", "list", "--status", "all").stdout)


def test_a_dry_run_writes_nothing_and_nobody_hears_of_it(incidents: list[Incident]) -> None:
    [row, _] = incidents
    for words in (["phase", row.pk, "5"], ["resolve", row.pk, "--summary", "Over."], ["declare", "New", "-s", "low"]):
        result = here("incident", *words, "--dry-run")
        assert (result.exit_code, "Nothing written (--dry-run)." in result.stdout) == (0, True)
    row.refresh_from_db()
    assert (row.status, row.phase, row.timeline.count(), Incident.objects.count()) == (Status.ACTIVE, 1, 0, 2)
    assert os.environ.get("MIM_URL") is None
