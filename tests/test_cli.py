"""The frame of `mim`: help, typing errors, refusals and their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from typer.core import TyperCommand as Command
from typer.core import TyperOption as Option
from typer.testing import CliRunner

from accounts.models import AuditEvent, User
from incidents.models import Incident
from kpis.models import Fact
from majorops.cli import GROUPS, app, exit_code, hoisted
from majorops.commands import DOCUMENT, commands, is_remote_too, written
from majorops.lib.errors import DomainError
from majorops.lib.manner import progress
from tests.factories import IncidentFactory, UserFactory
from tests.run import ROOT

runner = CliRunner()


def mim(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`mim` as a process of its own, with nothing of the test's settings but what is named."""
    command = [sys.executable, "-c", "from majorops.cli import main; main()", *arguments]
    clean = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
    return subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture
def mim_person() -> User:
    return UserFactory(email="somebody@example.org", role="mim")


def test_help_begins_with_an_example_and_names_every_group() -> None:
    shown = runner.invoke(app, ["--help"]).output
    assert shown.index("For example:") < shown.index("Commands:")
    assert all(name in shown for name in GROUPS)


def test_help_does_not_wait_for_django() -> None:
    show_help = "from majorops.cli import app; app(['--help'], standalone_mode=False)"
    code = f"import sys; {show_help}; assert 'django' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_commands(group: str) -> None:
    result = runner.invoke(app, [group, "--help"])
    assert result.exit_code == 0
    assert "Commands" in result.output or group in ("worker", "doctor", "completion")  # which are commands themselves


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["incidnet"], "incident"), (["incident", "shwo"], "show"), (["incident", "list", "--jsn"], "--json"),
     (["incident", "list", "--status", "opne"], "Did you mean 'open'?"),
     (["incident", "declare", "x", "-s", "Hihg"], "Did you mean 'high'?")],
)  # fmt: skip
def test_a_typing_error_shows_what_is_near_and_exits_2(typed: list[str], meant: str) -> None:
    result = runner.invoke(app, typed)
    assert result.exit_code == 2
    assert meant in result.stderr


@pytest.mark.django_db
def test_a_refusal_is_one_line_on_stderr() -> None:
    result = runner.invoke(app, ["incident", "show", "nothing"])
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == 'error: No incident has the id "nothing". List them: mim incident list --status all\n'


@pytest.mark.django_db
def test_a_refusal_to_a_program_is_json_on_stderr() -> None:
    result = runner.invoke(app, ["incident", "show", "nothing", "--json"])
    assert (result.exit_code, result.stdout) == (4, "")
    assert json.loads(result.stderr)["code"] == "not_found"


@pytest.mark.parametrize(
    ("status", "code"), [(400, 5), (401, 3), (403, 3), (404, 4), (409, 6), (412, 6), (422, 5), (500, 1)]
)
def test_refusals_keep_their_exit_codes(status: int, code: int) -> None:
    error = DomainError()
    error.status = status
    assert exit_code(error) == code


def test_unsafe_settings_are_named_without_a_traceback() -> None:
    result = mim("incident", "list")
    assert result.returncode == os.EX_CONFIG
    assert result.stderr.startswith("error: These settings are not safe to start with:")
    assert "Traceback" not in result.stderr


def test_a_database_without_tables_says_what_to_run(tmp_path: Path) -> None:
    result = mim("user", "list", DEBUG="1", SECRET_KEY="x" * 50, DATABASE_URL=f"sqlite:///{tmp_path / 'new.sqlite3'}")
    assert result.returncode == 1
    assert "manage.py migrate" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told_in_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "majorops.cli", "completion", "bash"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_output_has_no_colour_where_none_is_wanted() -> None:
    assert "\x1b" not in mim("--help", NO_COLOR="1", FORCE_COLOR="1").stdout


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_shows_an_example_before_its_options(name: str, command: Command) -> None:
    shown = runner.invoke(app, [*name.split()[1:], "--help"]).output
    assert shown.index("Example") < shown.index("Options:")
    example = shown[shown.index("Example") :].partition("Options:")[0]
    assert re.search(rf"\bmim {name.split()[1]}\b", example)
    first_line = (command.help or "").strip().partition("\n")[0]
    assert first_line.endswith(".")


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_option_says_what_it_is_for(name: str, command: Command) -> None:
    silent = [each.name for each in command.params if isinstance(each, Option) and not each.help]
    assert not silent


@pytest.mark.parametrize("name", [name for name, command in commands() if is_remote_too(command)])
def test_a_typing_error_in_an_option_shows_what_is_near(name: str) -> None:
    """The commands that run anywhere, for a person at 3 am."""
    result = runner.invoke(app, [*name.split()[1:], "--hlep"])
    assert (result.exit_code, "--help" in result.stderr) == (2, True)


def test_the_table_of_all_commands_is_as_the_program_is() -> None:
    """Write it anew with: python -m majorops.commands"""
    assert DOCUMENT.read_text() == written(DOCUMENT.read_text())


@pytest.mark.django_db
def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert runner.invoke(app, ["incident", "watch", IncidentFactory().pk]).exit_code == 130


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words",
    [
        ["user", "role", "kim@example.com", "mim", "--create"],
        ["user", "grant", "kim@example.com", "admin"],
        ["fact", "append", "deployed", "repo=shop", "deploy_id=42"],
        ["incident", "declare", "Uploads fail", "--severity", "low"],
        ["token", "create", "Laptop", "--scope", "kpis:read"],
    ],
)
def test_a_dry_run_takes_back_what_it_wrote(words: list[str]) -> None:
    counted = (User, Fact, Incident, AuditEvent)
    before = [model.objects.count() for model in counted]
    result = runner.invoke(app, [*words, "--dry-run"])
    assert (result.exit_code, "Nothing written (--dry-run)." in result.output) == (0, True)
    assert [model.objects.count() for model in counted] == before
    assert runner.invoke(app, words).exit_code == 0
    assert [model.objects.count() for model in counted] != before


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["incident", "list", "-q"], ["-q", "incident", "list"]),
        (["kpi", "list", "--tz", "Europe/Rome", "--json"], ["--tz", "Europe/Rome", "kpi", "list", "--json"]),
        (["log", "add", "ID", "--url=http://x", "--", "--yes"], ["--url=http://x", "log", "add", "ID", "--", "--yes"]),
        (["kpi", "list", "--tz"], ["--tz", "kpi", "list"]),
    ],
)
def test_options_of_mim_may_stand_anywhere(typed: list[str], read: list[str]) -> None:
    assert hoisted(typed) == read


@pytest.mark.django_db
def test_quiet_leaves_the_hints_out_and_verbose_says_where_it_works() -> None:
    assert runner.invoke(app, ["incident", "list"]).stderr != ""
    assert runner.invoke(app, ["incident", "list", "-q"]).stderr == ""
    assert "DATABASE_URL" in runner.invoke(app, ["incident", "list", "-v"]).stderr


@pytest.mark.django_db
def test_times_are_shown_and_read_in_the_zone_that_was_named() -> None:
    incident = IncidentFactory()
    shown = runner.invoke(app, ["incident", "show", incident.pk, "--tz", "Asia/Tokyo"]).stdout
    assert f"{incident.detected_at + timedelta(hours=9):%Y-%m-%d %H:%M:%S} JST" in shown
    assert runner.invoke(app, ["incident", "list", "--tz", "Mars"]).exit_code == 2


def test_a_group_shows_examples_before_its_commands() -> None:
    shown = runner.invoke(app, ["incident", "--help"]).output
    assert shown.index("mim incident list") < shown.index("Commands:")


@pytest.mark.django_db
def test_what_cannot_be_asked_names_the_option_and_exits_2() -> None:
    asked = runner.invoke(app, ["demo", "reset"])
    assert (asked.exit_code, "--yes" in asked.stderr) == (2, True)
    assert "taken away" in runner.invoke(app, ["demo", "reset", "--dry-run"]).stdout


@pytest.mark.django_db
def test_a_database_that_people_work_on_is_no_demo(mim_person: User) -> None:
    refused = runner.invoke(app, ["demo", "reset", "--yes"])
    assert (refused.exit_code, mim_person.email in refused.stderr) == (6, True)


def test_where_nobody_looks_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0, 11.0, 11.0, 12.0])
    with progress("mttr", now=lambda: next(clock)) as advance:
        advance(1, 9)
        advance(2, 9)
        advance(3, 9)
    assert capsys.readouterr().err == "mttr: 2 of 9\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_learns_to_complete_without_django(shell: str) -> None:
    script = mim("completion", shell)
    assert (script.returncode, "_MIM_COMPLETE" in script.stdout) == (0, True)


def test_a_word_is_completed_where_no_setting_is_known() -> None:
    asked = {"_MIM_COMPLETE": "complete_bash", "COMP_WORDS": "mim incident de", "COMP_CWORD": "2"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['mim']; from majorops.cli import main; main()"]
    environment = {"PATH": os.environ["PATH"], **asked}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["declare"], "")
