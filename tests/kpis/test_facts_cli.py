"""`mim fact`: files of other systems come in whole, again without change, and what is wrong is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from kpis.facts import adapters, files, ingest, registry
from kpis.models import Fact
from majorops.cli import app
from tests.factories import at
from tests.kpis.facts import define, event, ndjson

pytestmark = pytest.mark.django_db
REAL = os.environ.get("MAJOROPS_REAL_DATA", "")
real_data = pytest.mark.skipif(not REAL, reason="MAJOROPS_REAL_DATA names no folder of real histories")


def mim(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["fact", *arguments], input=stdin)


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_fact_is_appended_and_seen() -> None:
    done = mim("append", "deployed", "repo=shop", "deploy_id=42", "--at", "2026-03-02T10:00:00Z")
    assert done.exit_code == 0, done.output
    again = mim("append", "deployed", "repo=shop", "deploy_id=42", "--at", "2026-03-02T10:00:00Z", "--json")
    assert json.loads(again.stdout)["payload"] == {"repo": "shop", "deploy_id": "42"}
    assert "deploy:42" in mim("tail", "--kind", "deployed").stdout
    assert Fact.objects.count() == 1
    assert mim("append", "deployed", "repo").exit_code == 5


def test_events_are_imported_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    define("health_check")
    good = [event("health_check", f"10:0{minute}", service="api", ok=True) for minute in range(3)]
    text = ndjson([*good, {"kind": "nope"}]).decode() + "\nnot json\n"
    done = mim("import", written(tmp_path, "facts.jsonl", text))
    assert done.exit_code == 7
    assert "5 read: 3 new, 0 there already, 2 refused" in done.stdout
    assert "record 4: There is no fact kind 'nope'" in done.stderr
    assert "record 5: This line is not JSON" in done.stderr
    assert json.loads(mim("import", str(tmp_path / "facts.jsonl"), "--json").stdout)["duplicate"] == 3


def test_an_event_is_read_as_strictly_as_the_api_reads_it(tmp_path: Path) -> None:
    define("health_check")
    line = (
        b'{"kind": "health_check", "occurredAt": "2026-03-02T10:00:00Z", "payload": {"service": "%s", "ok": true%s}}\n'
    )
    file = tmp_path / "facts.jsonl"
    file.write_bytes(line % (b"api", b"") + line % (b"ap\xff", b"") + line % (b"api", b', "ok": false'))
    done = mim("import", str(file))
    assert "3 read: 1 new, 0 there already, 2 refused" in done.stdout
    assert "record 2: This line is not UTF-8 text." in done.stderr
    assert "record 3: 'ok' occurs twice in one object." in done.stderr


JOURNAL = [
    {"timestamp": 1772445600, "action": "health_check_pass", "entity": "api", "details": "service=api latency=3"},
    {"timestamp": "2026-03-02T10:05:00Z", "action": "health_check_fail", "entity": "api", "details": ""},
    {"timestamp": "2026-03-02T10:06:00", "action": "deployed", "entity": "d-1", "details": "repo=shop sha=f95f"},
    {"timestamp": "2026-03-02T10:06:00Z", "action": "coffee_made", "entity": "kitchen", "details": ""},
]


def test_a_journal_of_actions_becomes_facts(tmp_path: Path) -> None:
    define("health_check", "deployed")
    done = mim("import", written(tmp_path, "journal.jsonl", ndjson(JOURNAL).decode()), "--format", "journal")
    assert "4 read: 3 new, 0 there already, 1 refused" in done.stdout
    rows = Fact.objects.order_by("occurred_at").values_list("kind", "subject_id", "payload")
    assert list(rows) == [
        ("health_check", "api", {"service": "api", "ok": True}),
        ("health_check", "api", {"service": "api", "ok": False}),
        ("deployed", "d-1", {"deploy_id": "d-1", "repo": "shop", "sha": "f95f"}),
    ]


CSV = """id,finished,branch,result,data
1,02/03/2026 11:00,main,OK,"{""head"": {""sha"": ""f95f""}}"
2,02/03/2026 12:00,main,BROKEN,{}
3,02/03/2026 13:00,topic,OK,{}
4,soon,main,OK,{}
"""
MAPPING = """
kind = "deploy.finished"
occurred_at = "finished"
time_format = "%d/%m/%Y %H:%M"
zone = "Europe/Berlin"
key = "id"
only = {branch = "main"}
[fields]
deploy_id = "id"
repo = {value = "shop"}
sha = {column = "data", path = "head.sha"}
outcome = {column = "result", words = {OK = "success", BROKEN = "failure"}}
"""


def test_a_table_is_read_by_its_mapping(tmp_path: Path) -> None:
    mapping = written(tmp_path, "mapping.toml", MAPPING)
    done = mim("import", written(tmp_path, "runs.csv", CSV), "--format", "csv", "--mapping", mapping)
    assert "3 read: 2 new, 0 there already, 1 refused" in done.stdout, done.output
    rows = Fact.objects.order_by("occurred_at").values_list("occurred_at", "payload")
    assert [(when.isoformat(), payload["outcome"], payload.get("sha")) for when, payload in rows] == [
        ("2026-03-02T10:00:00+00:00", "success", "f95f"),
        ("2026-03-02T11:00:00+00:00", "failure", None),
    ]


@pytest.mark.parametrize(("change", "why"), [
    (('kind = "deploy.finished"', 'kind = "nope"'), "no fact kind"), (('"finished"', '"ended"'), "no column 'ended'"),
    (("Europe/Berlin", "Europe/Nowhere"), "mapping cannot be used"), (("zone", "zome"), "zome"),
    (("[", "{"), "mapping"),
])  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    mapping = written(tmp_path, "mapping.toml", MAPPING.replace(*change))
    done = mim("import", written(tmp_path, "runs.csv", CSV), "--format", "csv", "--mapping", mapping)
    assert done.exit_code == 5
    assert why in done.stderr


LOG = """commit f95f852bd8fca8fcc58a9a2d6c842781e32a215e
Author: Ann <ann@example.com>
Date:   2026-03-02T11:00:00+01:00

    Mend the till

3\t1\ttill.py
-\t-\tlogo.png
commit ec26c3e57ca3a959ca5aad62de7213c562f8c821 (HEAD -> main)
Author: ann@example.com
Date:   Mon Mar 2 12:30:00 2026 +0100

10\t0\treadme.md
"""


def test_a_git_log_tells_of_commits_and_of_lines_and_names_nobody() -> None:
    done = mim("import", "git-log", "--repo", "shop", stdin=LOG)
    assert "5 read: 5 new" in done.stdout, done.output
    lines = Fact.objects.filter(kind="code_contribution").order_by("occurred_at").values_list("payload", flat=True)
    assert [(each["added"], each["deleted"], each["files"]) for each in lines] == [(3, 1, 2), (10, 0, 1)]
    assert Fact.objects.get(kind="commit_day").payload == {"repo": "shop", "day": "2026-03-02"}
    authors = set(Fact.objects.exclude(kind="commit_day").values_list("payload__author", flat=True))
    assert len(authors) == 1
    assert "@" not in authors.pop()
    assert "5 there already" in mim("import", "git-log", "--repo", "shop", stdin=LOG).stdout


# --- Real files ---

MAPPINGS: dict[str, tuple[str, int]] = {
    "dora_mybinder_main_merges_to_2019.csv": (
        """kind = "deployed"\noccurred_at = "committed_at"\nkey = "sha"
        [fields]\nsha = "sha"\ndeploy_id = "sha"\nrepo = {value = "mybinder.org-deploy"}
        environment = {value = "production"}""",
        0,
    ),
    "dora_alertmanager_release_tags.csv": (
        """kind = "deployed"\noccurred_at = "created_at"\nkey = "tag"
        [fields]\nsha = "object_sha"\ndeploy_id = "tag"\nbranch = "tag"\nrepo = {value = "alertmanager"}""",
        0,
    ),
    "dora_devlake/github_raw_github_api_runs.csv": (
        """kind = "ci.run"\noccurred_at = {column = "data", path = "updated_at"}\nkey = "id"
        [fields]\nrun_id = {column = "data", path = "id"}\nrepo = {column = "params", path = "Name"}
        workflow = {column = "data", path = "name"}\nsha = {column = "data", path = "head_sha"}
        conclusion = {column = "data", path = "conclusion"}""",
        0,
    ),
    "dora_devlake/dora_cicd_deployment_commits_before_enrich.csv": (
        """kind = "deploy.finished"\noccurred_at = "created_date"\nkey = "id"
        [fields]\ndeploy_id = "id"\nrepo = "repo_url"\nsha = "commit_sha"\nbranch = "ref_name"
        outcome = {column = "result", words = {SUCCESS = "success", FAILURE = "failure"}}""",
        5,
    ),
    "dora_devlake/gitlab_raw_gitlab_api_deployments.csv": (
        """kind = "deploy.finished"\noccurred_at = {column = "data", path = "updated_at"}\nkey = "id"
        [fields]\ndeploy_id = {column = "data", path = "id"}\nrepo = {column = "params", path = "ProjectId"}
        sha = {column = "data", path = "sha"}\nenvironment = {column = "data", path = "environment.name"}
        outcome = {column = "data", path = "status", words = {success = "success", failed = "failure"}}""",
        8,
    ),
    "dora_devlake/github_tool_github_pull_requests.csv": (
        """kind = "pr.merged"\noccurred_at = "merged_at"\nkey = "github_id"\nactor = "author_name"
        only = {merged_at = "*"}
        [fields]\npr = "github_id"\nrepo = "repo_id"\ncreated_at = "github_created_at"\nmerged_at = "merged_at"
        sha = "merge_commit_sha"\nadditions = "additions"\ndeletions = "deletions"\ncommits = "commits" """,
        0,
    ),
    "dora_devlake/pagerduty_tool_pagerduty_incidents.csv": (
        """kind = "alert.fired"\noccurred_at = "created_date"\nkey = "number"
        [fields]\nfingerprint = "number"\nalertname = "summary"\nseverity = "urgency"\nservice = "service_id" """,
        0,
    ),
}


@real_data
@pytest.mark.parametrize("name", MAPPINGS)
def test_a_real_table_comes_in_twice_as_once(tmp_path: Path, name: str) -> None:
    text, may_refuse = MAPPINGS[name]
    mapping = written(tmp_path, "mapping.toml", text)
    first, second = (
        json.loads(mim("import", f"{REAL}/{name}", "--format", "csv", "--mapping", mapping, "--json").stdout)
        for _ in range(2)
    )
    assert first["inserted"] >= 2, first
    assert first["rejected"] <= may_refuse * first["received"] / 10, first["errors"][:3]
    assert second["inserted"] == 0


REAL_KINDS = {
    "github__deployment": ["deploy_started"],
    "github__deployment_status": ["deployed", "deploy.finished"],
    "github__workflow_run_completed": ["ci.run"],
    "github__pull_request_closed": [],
    "github__issues_opened": [],
    "alertmanager__alert": ["alert.fired", "alert.fired"],
    "alerta_fixture__prometheus_v4_alert": ["alert.fired"],
    "chatwoot__docs_message_created": ["chatwoot.message"],
}


@real_data
@pytest.mark.parametrize("name", REAL_KINDS)
def test_a_real_webhook_becomes_the_facts_it_tells(name: str) -> None:
    payload: Any = json.loads(Path(f"{REAL}/webhooks/{name}.json").read_text())
    adapter = name.split("__")[0].replace("alerta_fixture", "alertmanager")
    found = adapters.events(adapters.ADAPTERS[adapter], payload)
    assert [each["kind"] for each in found] == REAL_KINDS[name]
    report = ingest.append_events(enumerate(found), source="test", now=at("2026-06-01T00:00"))
    assert report.inserted == len(found), report.errors


def test_every_reader_knows_the_kinds_there_are() -> None:
    known = registry.fresh().kinds
    assert {kind for kind, _ in files.ACTIONS.values()} - known.keys() == {"health_check"}


SEMICOLONS = """
kind = "deployed"
occurred_at = "at"
zone = "Europe/Berlin"
delimiter = ";"
[fields]
deploy_id = "id"
repo = {value = "shop"}
"""


def test_an_hour_that_the_clock_skips_or_shows_twice_is_no_time(tmp_path: Path) -> None:
    rows = "id;at\n1;2026-03-29 02:30\n2;2026-03-29 03:00\n3;2025-10-26 02:30\n4;2025-10-26 02:30+01:00\n"
    mapping = written(tmp_path, "mapping.toml", SEMICOLONS)
    done = mim("import", written(tmp_path, "runs.csv", rows), "--format", "csv", "--mapping", mapping)
    assert "4 read: 2 new" in done.stdout, done.stderr
    assert "record 1: 2026-03-29 02:30 does not exist in Europe/Berlin" in done.stderr
    assert "record 3: 2025-10-26 02:30 comes twice in Europe/Berlin" in done.stderr


def test_text_without_a_commit_is_no_git_log() -> None:
    done = mim("import", "git-log", "--repo", "shop", stdin="abc1234 A subject\n")
    assert (done.exit_code, "There is no commit in it" in done.stderr) == (7, True)
    assert mim("import", "git-log", "--repo", "shop", stdin="\n").exit_code == 0
