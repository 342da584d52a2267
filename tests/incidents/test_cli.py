"""`mim incident`: each verb is one action; back-dating, acting people, exit codes, and the import's report."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from typer.testing import CliRunner, Result

from accounts.models import User
from incidents.lifecycle import Phase, Status, Visibility
from incidents.models import Incident, Source, StatusUpdate, TeamPage
from majorops.cli import app
from tests.factories import IncidentFactory, TeamFactory

pytestmark = pytest.mark.django_db

#: A ULID that no row has.
NOBODY = "01JD8Q6Z6ZJ5C0M5RKVX9T3W4E"
FIXTURE = Path(__file__).parent / "fixtures" / "statuspage.json"


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["incident", *arguments], env=environment)


# --- Reading ---


def test_the_list_shows_open_incidents_unless_told_otherwise() -> None:
    IncidentFactory(title="Uploads fail")
    IncidentFactory(title="Search is slow", closed=True)
    assert "Uploads fail" in run("list").stdout
    assert "Search is slow" not in run("list").stdout
    assert "Search is slow" in run("list", "--status", "resolved").stdout


def test_the_list_for_programs_is_json_only() -> None:
    IncidentFactory(title="Uploads fail", closed=True)
    result = run("list", "--status", "all", "--json")
    [row] = json.loads(result.stdout)
    assert (row["title"], row["severity"], row["phase"]) == ("Uploads fail", "Critical", 8)


def test_the_list_takes_two_queries(django_assert_max_num_queries: object, mim: User) -> None:
    IncidentFactory.create_batch(30, mim=mim)
    with django_assert_max_num_queries(2):  # type: ignore[operator]
        run("list", "--json")


def test_one_incident_is_shown_with_the_end_of_its_log() -> None:
    opened = run("open", "Uploads fail", "-s", "high").stdout
    [incident] = Incident.objects.all()
    assert incident.pk in opened
    assert "Incident opened: Uploads fail" in run("show", incident.pk.lower()).stdout
    assert json.loads(run("show", incident.pk, "--json").stdout)["timeline"][0]["actor"] == "CLI"


@pytest.mark.parametrize("id", ["x", "01JD", NOBODY, "../../etc", "é" * 26])
def test_an_unknown_id_exits_4(id: str) -> None:
    assert run("show", id).exit_code == 4
    assert run("advance", id, "2").exit_code == 4


# --- Acting ---


def test_an_incident_is_run_from_the_terminal(mim: User) -> None:
    team = TeamFactory(slug="database", name="Database")
    assert run("open", "Uploads fail", "-s", "critical", "--system", "API", "--as", mim.email).exit_code == 0
    incident = Incident.objects.get()
    for arguments in (
        ("advance", incident.pk, "2"),
        ("page", incident.pk, "Database"),
        ("update", incident.pk, "We look."),
    ):
        assert run(*arguments, "--as", mim.email).exit_code == 0
    assert run("resolve", incident.pk, "--summary", "It is over.", "--as", mim.email).exit_code == 0
    incident.refresh_from_db()
    assert (incident.status, incident.opened_by, incident.affected_systems) == (Status.RESOLVED, mim, ["API"])
    assert TeamPage.objects.get().team == team
    assert set(incident.timeline.values_list("source", flat=True)) == {Source.CLI}


def test_who_acts_may_come_from_the_environment(mim: User) -> None:
    run("open", "Uploads fail", "-s", "low", MIM_AS=mim.email)
    assert Incident.objects.get().opened_by == mim


def test_without_a_name_the_log_says_cli() -> None:
    run("open", "Uploads fail", "-s", "low")
    assert Incident.objects.get().timeline.get().actor == "CLI"


@pytest.mark.parametrize(("email", "code"), [("stakeholder@example.com", 3), ("nobody@example.com", 4), ("no one", 5)])
def test_who_may_not_act_opens_nothing(stakeholder: User, email: str, code: int) -> None:
    assert run("open", "Uploads fail", "-s", "low", "--as", email).exit_code == code
    assert not Incident.objects.exists()


def test_a_time_ago_is_echoed_in_utc() -> None:
    result = run("open", "Uploads fail", "-s", "low", "--at", "-7m")
    detected = Incident.objects.get().detected_at
    assert timedelta(minutes=6) < timezone.now() - detected < timedelta(minutes=8)
    assert result.stdout.startswith(f"{detected:%Y-%m-%dT%H:%M:%S}")


def test_a_full_time_with_its_zone_is_taken() -> None:
    run("open", "Uploads fail", "-s", "low", "--at", "2026-03-02T14:02:00+02:00")
    assert f"{Incident.objects.get().detected_at:%H:%M}" == "12:02"


@pytest.mark.parametrize("at", ["soon", "25:00", "2026-03-02T14:02", "2099-01-01T00:00Z", "1999-01-01T00:00Z"])
def test_a_time_that_cannot_be_opens_nothing(at: str) -> None:
    result = run("open", "Uploads fail", "-s", "low", "--at", at)
    assert (result.exit_code, Incident.objects.count()) == (5, 0)


def test_a_move_that_is_not_allowed_exits_6() -> None:
    incident = IncidentFactory(phase=Phase.ISOLATION)
    result = run("advance", incident.pk, "4")
    assert result.exit_code == 6
    assert "cannot be entered again" in result.stderr


def test_going_back_without_a_reason_exits_5() -> None:
    incident = IncidentFactory(phase=Phase.ISOLATION)
    assert run("advance", incident.pk, "2").exit_code == 5
    assert run("advance", incident.pk, "2", "--reason", "A second region.").exit_code == 0


def test_a_resolved_incident_refuses_updates() -> None:
    incident = IncidentFactory(closed=True)
    assert run("update", incident.pk, "We look.").exit_code == 6
    assert not StatusUpdate.objects.exists()


@pytest.mark.parametrize(
    ("flag", "visibility"),
    [([], Visibility.INTERNAL), (["--internal"], Visibility.INTERNAL), (["--public"], Visibility.PUBLIC)],
)
def test_an_update_is_internal_unless_told_otherwise(flag: list[str], visibility: Visibility) -> None:
    run("update", IncidentFactory().pk, "We look.", *flag)
    assert StatusUpdate.objects.get().visibility == visibility


def test_an_unknown_team_exits_4_with_what_is_near() -> None:
    TeamFactory(slug="database", name="Database")
    result = run("page", IncidentFactory().pk, "databse")
    assert result.exit_code == 4
    assert "Did you mean database?" in result.stderr


# --- Importing ---


def test_an_import_ends_with_a_summary_and_a_second_one_has_nothing_new() -> None:
    first, second = (
        run("import", str(FIXTURE), "--format", "statuspage"),
        run("import", str(FIXTURE), "--format", "statuspage"),
    )
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "statuspage.json: 2 new, 0 grown, 0 same; 6 updates written" in first.stdout
    assert "statuspage.json: 0 new, 0 grown, 2 same; 0 updates written" in second.stdout
    assert "skipped: plan-1 (New racks): Scheduled maintenance is no incident." in first.stdout


def test_a_dry_run_of_an_import_writes_nothing() -> None:
    result = run("import", str(FIXTURE), "--format", "statuspage", "--dry-run")
    assert "2 new" in result.stdout
    assert "Nothing written (--dry-run)." in result.stdout
    assert not Incident.objects.exists()


def test_a_record_that_was_refused_makes_it_7_and_the_others_are_in(tmp_path: Path) -> None:
    document = json.loads(FIXTURE.read_text())
    document["incidents"][0]["started_at"] = "2999-01-01T00:00:00Z"
    file = tmp_path / "history.json"
    file.write_text(json.dumps(document))
    result = run("import", str(file), "--format", "statuspage")
    assert (result.exit_code, Incident.objects.count()) == (7, 1)
    assert "refused: lamp-2 (Uploads fail): started_at must lie between" in result.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"{", "breaks off"),
        (b"[1, 2", "breaks off"),
        (b"<", "not JSON"),
        (b"PK\x03\x04", "spreadsheet"),
    ],
)
def test_a_file_that_is_no_history_exits_5_and_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "history.json"
    file.write_bytes(content)
    result = run("import", str(file), "--format", "statuspage")
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith("error: history.json: ")
    assert says in result.stderr


def test_a_file_that_does_not_exist_exits_2() -> None:
    assert run("import", "/nowhere.json", "--format", "statuspage").exit_code == 2


@pytest.mark.parametrize(("log", "new"), [("servicenow", 3), ("volvo", 3)])
def test_a_change_log_is_imported_and_a_second_run_has_nothing_new(log: str, new: int) -> None:
    file = str(FIXTURE.with_name(f"{log}.csv"))
    first, second = (run("import", file, "--format", log) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"{log}.csv: {new} new, 0 grown, 0 same" in first.stdout
    assert f"{log}.csv: 0 new, 0 grown, {new} same" in second.stdout
    assert set(Incident.objects.values_list("external_source", flat=True)) == {log}


def test_two_systems_with_the_same_numbers_are_told_apart_by_their_instance() -> None:
    file = str(FIXTURE.with_name("volvo.csv"))
    for instance in ("north", "south"):
        assert "3 new" in run("import", file, "--format", "volvo", "--instance", instance).stdout
    assert run("import", file, "--format", "volvo", "--instance", "a b").exit_code == 5


def test_times_without_a_zone_are_of_the_zone_that_is_named() -> None:
    file = str(FIXTURE.with_name("servicenow.csv"))
    assert run("import", file, "--format", "servicenow", "--timezone", "Europe/Rome").exit_code == 0
    assert Incident.objects.get(external_id="LAMP0001").detected_at.hour == 7
    refused = run("import", file, "--format", "servicenow", "--timezone", "Europe/Atlantis")
    assert (refused.exit_code, "No time zone is called" in refused.stderr) == (5, True)


def test_a_history_of_another_format_is_refused_and_named() -> None:
    result = run("import", str(FIXTURE), "--format", "volvo")
    assert (result.exit_code, Incident.objects.count()) == (5, 0)
    assert result.stderr.startswith("error: statuspage.json: ")


def test_a_file_without_a_format_is_known_by_its_content() -> None:
    for name, new in (("statuspage.json", 2), ("googlecloud.json", 2), ("servicenow.csv", 3), ("volvo.csv", 3)):
        assert f"{name}: {new} new" in run("import", str(FIXTURE.with_name(name))).stdout


def test_a_file_of_no_known_format_exits_5_and_names_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk, eggs")
    result = run("import", str(tmp_path / "notes.txt"))
    assert (result.exit_code, Incident.objects.count()) == (5, 0)
    assert "It is of no format that is known. Known are: statuspage" in result.stderr


@pytest.mark.parametrize("name", ["statuspage.json", "volvo.csv", "postmortem.md"])
def test_a_packed_file_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(FIXTURE.with_name(name).read_bytes()))
    plain = run("import", str(FIXTURE.with_name(name)), "--dry-run", "--zone", "UTC").stdout
    assert run("import", str(packed), "--dry-run", "--zone", "UTC").stdout == plain.replace(name, f"{name}.gz")
    packed.write_bytes(packed.read_bytes()[:-9])
    broken = run("import", str(packed), "--zone", "UTC")
    assert (broken.exit_code, "damaged or breaks off" in broken.stderr) == (5, True)


def test_a_log_with_its_columns_in_another_order_says_the_same(tmp_path: Path) -> None:
    lines = FIXTURE.with_name("volvo.csv").read_text(encoding="utf-8-sig").splitlines()
    rows = list(csv.DictReader(lines, delimiter=";"))
    turned = tmp_path / "volvo.csv"
    with turned.open("w", encoding="utf-8-sig", newline="") as file:
        written = csv.DictWriter(file, [*reversed(rows[0]), "Extra"])
        written.writeheader()
        written.writerows(rows)
    told = [run("import", str(file), "--dry-run").stdout for file in (FIXTURE.with_name("volvo.csv"), turned)]
    assert told[0] == told[1]


def test_a_timeline_is_pasted_into_an_incident_once(tmp_path: Path) -> None:
    incident = IncidentFactory()
    page = "## Timeline\n\nAll times in UTC\n\n- 2026-03-02 10:00 Dark\n- 10:05 Light\n- soon\n"
    first, second = (
        CliRunner().invoke(app, ["incident", "import", "-", "--into", str(incident.pk), "--json"], input=page)
        for _ in range(2)
    )
    report, again = json.loads(first.stdout), json.loads(second.stdout)
    assert (first.exit_code, report["format"], report["entries"], again["entries"]) == (7, "postmortem", 2, 0)
    assert report["refused"][0]["record"] == "line 7"
    assert [entry.title for entry in incident.timeline.filter(source=Source.IMPORT)] == ["Dark", "Light"]


def test_a_dry_run_into_an_incident_writes_nothing() -> None:
    incident = IncidentFactory()
    page = "- 2026-03-02 10:00 UTC Dark"
    arguments = ["incident", "import", "-", "--format", "postmortem", "--into", str(incident.pk), "--dry-run"]
    assert "1 log entries" in CliRunner().invoke(app, arguments, input=page).stdout
    assert not incident.timeline.filter(source=Source.IMPORT).exists()


def test_a_zone_that_is_not_clear_is_asked_for_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("# Dark\n\nAll times in CST\n\n- 2026-03-02 10:00 Dark\n")
    asked = run("import", str(tmp_path / "report.md"))
    assert (asked.exit_code, Incident.objects.count()) == (5, 0)
    assert "Say --zone America/Chicago or --zone Asia/Shanghai." in asked.stderr
    told = run("import", str(tmp_path / "report.md"), "--zone", "America/Chicago", "--severity", "high")
    assert "report.md: 1 new" in told.stdout
    assert "so it is open here" in told.stdout
    closed = run("import", str(tmp_path / "report.md"), "--zone", "America/Chicago", "--resolved", "last")
    assert "0 new, 1 grown" in closed.stdout
    assert Incident.objects.get().status == Status.RESOLVED
