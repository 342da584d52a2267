"""Background work in admin and on the command line."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone
from typer.testing import CliRunner

from accounts.models import User
from majorops import jobs
from majorops.cli import app
from majorops.models import JobRun, RunState, Schedule
from majorops.worker import run_next_task
from tests.cast import Knock
from tests.factories import NOON

pytestmark = pytest.mark.django_db
SCHEDULES, RUNS = "/admin/majorops/schedule/", "/admin/majorops/jobrun/"
runner = CliRunner()


def test_schedules_show_how_their_last_run_went(admin_user: User, page_as: Knock) -> None:
    run = jobs.ask("forget-runs", timezone.now())
    jobs.carry_out(run.pk, 1)
    page = page_as(admin_user).get(SCHEDULES).content.decode()
    assert "0 runs and 0 tasks deleted." in page
    assert "daily 03:20" in page
    form = page_as(admin_user).get(f"{SCHEDULES}forget-runs/change/").content.decode()
    assert "Deletes old entries of background work." in form


def test_the_list_asks_no_more_for_more_schedules(
    admin_user: User, page_as: Knock, django_assert_max_num_queries: object
) -> None:
    for name in ("forget-runs", "forget-sessions", "kpi-nightly"):
        jobs.carry_out(jobs.ask(name, timezone.now()).pk, 1)
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        page_as(admin_user).get(SCHEDULES)


@pytest.mark.django_db(transaction=True)
def test_run_now_is_done_by_the_next_worker(admin_user: User, page_as: Knock) -> None:
    chosen = {"action": "run_now", "_selected_action": ["forget-runs"]}
    page = page_as(admin_user).post(SCHEDULES, chosen, follow=True).content.decode()
    assert "The next worker runs forget-runs." in page
    assert run_next_task()
    run = JobRun.objects.get()
    assert (run.state, run.asked_by) == (RunState.DONE, admin_user)


def test_run_now_is_refused_while_it_runs(admin_user: User, page_as: Knock) -> None:
    jobs.ask("forget-runs", timezone.now())
    chosen = {"action": "run_now", "_selected_action": ["forget-runs"]}
    assert "not finished" in page_as(admin_user).post(SCHEDULES, chosen, follow=True).content.decode()
    assert JobRun.objects.count() == 1


def test_an_administrator_changes_a_rhythm(admin_user: User, page_as: Knock) -> None:
    Schedule.objects.update(settled_until=NOON)
    page_as(admin_user).post(f"{SCHEDULES}kpi-nightly/change/", {"rhythm": " Daily  04:30 ", "is_active": "on"})
    changed = Schedule.objects.get(job="kpi-nightly")
    assert (changed.rhythm, changed.is_active) == ("daily 04:30", True)
    assert changed.settled_until > NOON


def test_a_rhythm_that_nobody_understands_is_refused(admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(f"{SCHEDULES}kpi-nightly/change/", {"rhythm": "sometimes"})
    assert "every 5 minutes" in answer.content.decode()
    assert Schedule.objects.get(job="kpi-nightly").rhythm == "daily 02:15"


def test_runs_are_looked_at_only(admin_user: User, page_as: Knock) -> None:
    run = jobs.ask("forget-runs", timezone.now(), by=admin_user)
    browser = page_as(admin_user)
    assert "forget-runs" in browser.get(RUNS).content.decode()
    assert browser.get(f"{RUNS}{run.pk}/change/").status_code == 200
    assert browser.post(f"{RUNS}{run.pk}/change/", {"state": "done"}).status_code == 403
    assert browser.get("/admin/django_tasks_database/dbtaskresult/").status_code == 200


def test_the_first_page_of_admin_names_stale_jobs(admin_user: User, page_as: Knock) -> None:
    assert "has not run as it should" not in page_as(admin_user).get("/admin/").content.decode()
    Schedule.objects.filter(job="kpi-nightly").update(settled_until=NOON)
    page = page_as(admin_user).get("/admin/").content.decode()
    assert "has not run as it should" in page
    assert "mim worker" in page


def test_mim_jobs_lists_and_runs_them() -> None:
    ran = runner.invoke(app, ["jobs", "run", "forget-runs"])
    assert (ran.exit_code, ran.stdout) == (0, "0 runs and 0 tasks deleted.\n")
    listed = json.loads(runner.invoke(app, ["jobs", "list", "--json"]).stdout)
    facts = next(row for row in listed if row["job"] == "forget-runs")
    assert (facts["state"], facts["rhythm"], facts["lookAfterIt"]) == ("done", "daily 03:20", None)
    assert "forget-runs" in runner.invoke(app, ["jobs", "list"]).stdout


def test_mim_names_the_jobs_where_one_is_unknown() -> None:
    refused = runner.invoke(app, ["jobs", "run", "nothing"])
    assert refused.exit_code == 4
    assert "kpi-nightly" in refused.stderr
