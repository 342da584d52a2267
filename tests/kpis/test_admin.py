"""The definition tool: what it accepts, what it refuses, and that every change leaves a version."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.audit import Action
from accounts.models import AuditEvent, User
from incidents import actions
from kpis.compute import backfill
from kpis.definitions import save_version
from kpis.models import DefinitionStatus, KpiDefinition, KpiDefinitionVersion, KpiObservation, KpiTarget
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, stamp

pytestmark = pytest.mark.django_db

KPIS = "/admin/kpis/kpidefinition/"
TARGET = {"match_by": "", "match_value": "", "operator": "lte", "value": "60"}


@pytest.fixture(autouse=True)
def _as_django_saves_rows(settings: Any) -> None:
    """Its formsets read each posted row by its id; a definition has a handful."""
    settings.ZEAL_ALLOWLIST = [{"model": "kpis.KpiTarget", "field": "get()"}]


@pytest.fixture
def mttr() -> KpiDefinition:
    return KpiDefinition.objects.get(slug="mttr")


def page_of(definition: KpiDefinition) -> str:
    return f"{KPIS}{definition.pk}/change/"


def filled(definition: KpiDefinition, *more: dict[str, str], **changes: str) -> dict[str, str]:
    """What the form of a definition sends, with its targets and `more` new ones."""
    names = ("slug", "name", "status", "description", "formula", "units", "visibility", "owner", "review_cadence")
    form = {name: getattr(definition, name) for name in names}
    form |= {"spec": json.dumps(definition.spec), "seen_version": str(definition.current_version), "reason": "Agreed."}
    form |= {name: "on" for name in ("stakeholder_visible", "is_personal") if getattr(definition, name)}
    targets = list(definition.targets.all()) if definition.current_version else []
    rows = [{name: str(getattr(row, name)) for name in TARGET} | {"id": str(row.pk)} for row in targets] + list(more)
    for index, row in enumerate(rows):
        form |= {f"targets-{index}-{name}": value for name, value in row.items()}
        form[f"targets-{index}-definition"] = definition.pk
    for index, version in enumerate(definition.versions.all() if definition.current_version else []):
        form |= {f"versions-{index}-id": version.pk, f"versions-{index}-definition": definition.pk}
    for prefix, total, known in (("targets", len(rows), len(targets)), ("versions", *[definition.current_version] * 2)):
        form |= {f"{prefix}-TOTAL_FORMS": str(total), f"{prefix}-INITIAL_FORMS": str(known)}
    return {**form, **changes}


def errors(answer: Any) -> str:
    assert answer.status_code == 200, "the form was accepted"
    return str(answer.context["errors"])


# --- Versions ---


def test_a_change_leaves_a_version_with_who_and_why(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, owner="Duty lead", reason="New owner."))
    mttr.refresh_from_db()
    version = mttr.versions.get(version=2)
    assert (mttr.owner, mttr.current_version) == ("Duty lead", 2)
    assert (version.changed_by, version.reason, version.snapshot["owner"]) == (admin_user, "New owner.", "Duty lead")


def test_a_changed_target_leaves_a_version_too(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, **{"targets-0-value": "90"}))
    assert mttr.versions.get(version=2).snapshot["targets"][0]["value"] == 90


def test_saving_without_a_change_leaves_none(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr), follow=True)
    assert mttr.versions.count() == 1
    assert "no new one was written" in answer.content.decode()


def test_the_line_ends_of_a_browser_are_no_change(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    mttr.description = "How long.\nAnd why."
    mttr.save()
    save_version(mttr, by=None, reason="Two lines", now=NOON)
    page_as(admin_user).post(page_of(mttr), filled(mttr, description="How long.\r\nAnd why."))
    assert mttr.versions.count() == 2


def test_a_change_without_a_reason_is_refused(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr, owner="Duty lead", reason=" "))
    assert answer.context["adminform"].form.errors["reason"]
    mttr.refresh_from_db()
    assert (mttr.owner, mttr.versions.count()) == ("Ops Leader", 1)


def test_of_two_people_who_edit_at_once_the_second_is_told(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    first, second = filled(mttr, owner="First"), filled(mttr, owner="Second")
    page_as(admin_user).post(page_of(mttr), first)
    answer = page_as(admin_user).post(page_of(mttr), second)
    assert "Version 2 was saved while you were editing version 1" in errors(answer)
    mttr.refresh_from_db()
    assert mttr.owner == "First"


def test_a_new_definition_begins_with_version_1(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    draft = KpiDefinition(
        slug="mean-outage", name="Mean Outage", spec=mttr.spec, units="minutes", owner="Ops", formula="x"
    )
    draft.description = "How long it lasts."
    sent = filled(draft, TARGET, reason="", seen_version="")
    page_as(admin_user).post(f"{KPIS}add/", sent)
    made = KpiDefinition.objects.get(slug="mean-outage")
    assert (made.current_version, made.targets.get().value, made.versions.get().changed_by) == (1, 60, admin_user)


def test_a_slug_stays(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, slug="other", name="Time to Resolve"))
    mttr.refresh_from_db()
    assert mttr.name == "Time to Resolve"
    assert not KpiDefinition.objects.filter(slug="other").exists()


# --- What is refused, at its field ---


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{", "Enter a valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "numbers too long"),
        ("[]", "JSON object"),
        ('{"schema": "majorops.kpi/1"}', "This is required."),
        ('{"schema": "\\u0000"}', "schema"),
    ],
    ids=lambda value: value[:20],
)
def test_a_formula_that_cannot_run_is_refused(
    mttr: KpiDefinition, admin_user: User, page_as: Knock, spec: str, says: str
) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr, spec=spec))
    assert says in str(answer.context["adminform"].form.errors["spec"])
    assert mttr.versions.count() == 1


def test_a_refused_formula_names_the_path_and_what_is_near(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    spec = json.dumps(mttr.spec).replace('"source": "incidents"', '"source": "incidens"')
    said = errors(page_as(admin_user).post(page_of(mttr), filled(mttr, spec=spec)))
    assert "calc.rows.source: " in said
    assert "incidents" in said


def test_units_that_contradict_the_formula_are_refused(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    assert "The formula gives minutes" in errors(page_as(admin_user).post(page_of(mttr), filled(mttr, units="percent")))


def test_a_proposed_kpi_needs_no_formula(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, spec=""))
    mttr.refresh_from_db()
    assert mttr.spec is None


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"match_by": "severity", "match_value": "criticl"}, "Choose one of critical, high, medium, low."),
        ({"match_by": "alarm_level", "match_value": "box9"}, "Choose one of box3, box2, box1."),
        ({"match_by": "severity"}, "Say which one."),
        ({"match_value": "critical"}, "Choose what the value names"),
        ({"value": "nan"}, "Enter a number."),
        ({"value": "1e400"}, "Enter a number."),
        ({"value": "1e15"}, "between -1e15 and 1e15"),
        ({"match_by": "severity", "match_value": "critical"}, "Another target holds for the same rows"),
        ({"effective_from": "2026-03-02", "effective_to": "2026-03-02"}, "This must come after 2026-03-02"),
        ({"operator": "about"}, "not one of the available choices"),
    ],
)
def test_a_target_that_cannot_be_is_refused(
    mttr: KpiDefinition, admin_user: User, page_as: Knock, target: dict[str, str], says: str
) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr, TARGET | target))
    assert says in errors(answer)
    assert (mttr.targets.count(), mttr.versions.count()) == (2, 1)


def test_two_targets_may_swap_their_places(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    swapped = {"targets-0-match_value": "high", "targets-1-match_value": "critical"}
    page_as(admin_user).post(page_of(mttr), filled(mttr, **swapped))
    assert list(mttr.targets.values_list("match_value", "value")) == [("critical", 240), ("high", 120)]


def test_a_target_can_go(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, **{"targets-0-DELETE": "on"}))
    assert [target.match_value for target in mttr.targets.all()] == ["high"]


# --- Reviewing and retiring ---


def test_a_review_is_an_action_and_no_new_version(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(KPIS, {"action": "mark_reviewed", "_selected_action": "mttr"})
    mttr.refresh_from_db()
    assert timezone.now() - mttr.last_reviewed_at < timedelta(minutes=1)
    assert mttr.versions.count() == 1
    assert "Reviewed" in page_as(admin_user).get(f"{KPIS}mttr/history/").content.decode()


def test_editing_is_not_reviewing(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    reviewed = {"last_reviewed_at_0": "2026-03-02", "last_reviewed_at_1": "12:00:00"}
    page_as(admin_user).post(page_of(mttr), filled(mttr, owner="Duty lead", **reviewed))
    mttr.refresh_from_db()
    assert mttr.last_reviewed_at is None


@pytest.mark.parametrize(
    ("slug", "state", "label"),
    [
        ("mttr", "never", "Never reviewed"),
        ("mtta", "ok", "OK"),
        ("team-page-to-ack", "due", "Due within 14 days"),
        ("cadence-adherence", "overdue", "Overdue"),
    ],
)
def test_the_state_of_the_review_is_shown_and_filtered(
    slug: str, state: str, label: str, admin_user: User, page_as: Knock
) -> None:
    ages = {"mtta": 1, "team-page-to-ack": 80, "cadence-adherence": 93}
    KpiDefinition.objects.exclude(slug__in=[*ages, "mttr"]).update(status="retired", last_reviewed_at=timezone.now())
    for other, days in ages.items():
        KpiDefinition.objects.filter(pk=other).update(last_reviewed_at=timezone.now() - timedelta(days=days))
    answer = page_as(admin_user).get(KPIS, {"review": state, "status__exact": "active"})
    assert [row.slug for row in answer.context["cl"].result_list] == [slug]
    assert f'<td class="field-review">{label}</td>' in answer.content.decode()


def test_a_kpi_is_retired_with_a_version_and_twice_changes_nothing(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    for says in ("Retired: mttr.", "Nothing to retire."):
        answer = page_as(admin_user).post(KPIS, {"action": "retire", "_selected_action": "mttr"}, follow=True)
        assert says in answer.content.decode()
    mttr.refresh_from_db()
    assert mttr.status == DefinitionStatus.RETIRED
    assert list(mttr.versions.values_list("reason", flat=True)) == ["Retired", "Built in"]


# --- Looking ---


@pytest.fixture
def numbers(mttr: KpiDefinition, mim: User) -> None:
    for _ in range(30):
        incident = IncidentFactory(detected_at=NOON, phase_entered_at=NOON)
        actions.resolve(incident, summary="Over.", stamp=stamp(mim, NOON + timedelta(minutes=30)))
    backfill(mttr, as_of=NOON + timedelta(days=1))


def test_the_list_shows_targets_and_evidence_in_bounded_queries(
    numbers: None, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        KpiDefinition.objects.create(
            slug=f"kpi-{number}", name="K", description="D", formula="F", units="count", owner="O"
        )
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        shown = browser.get(KPIS).content.decode()
    assert "≤ 120 for critical, ≤ 240 for high" in shown
    assert KpiObservation.objects.get(is_current=True, window="all", dims_key="").evidence in shown


def test_a_definition_with_many_versions_is_bounded(
    mttr: KpiDefinition, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(admin_user)
    for number in range(3):
        mttr.refresh_from_db()
        browser.post(page_of(mttr), filled(mttr, owner=f"Lead {number}", reason=f"Reason {number}"))
    with django_assert_max_num_queries(15):
        shown = browser.get(page_of(mttr)).content.decode()
    assert "Reason 2" in shown
    assert 'href="/kpis/mttr"' in shown


@pytest.mark.parametrize("page", ["kpidefinitionversion", "kpiobservation", "kpirun"])
def test_numbers_are_looked_at_in_bounded_queries(
    page: str, numbers: None, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        answer = browser.get(f"/admin/kpis/{page}/")
    row = answer.context["cl"].result_list[0]
    with django_assert_max_num_queries(15):
        assert browser.get(f"/admin/kpis/{page}/{row.pk}/change/").status_code == 200
    assert browser.post(f"/admin/kpis/{page}/{row.pk}/change/", {"value": "1"}).status_code == 403
    assert browser.post(f"/admin/kpis/{page}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_observations_are_filtered_by_kpi_source_and_currency(numbers: None, admin_user: User, page_as: Knock) -> None:
    asked = {"kpi__slug__exact": "mttr", "source__exact": "worker", "is_current__exact": "1"}
    answer = page_as(admin_user).get("/admin/kpis/kpiobservation/", asked)
    assert answer.status_code == 200


def test_a_definition_cannot_be_deleted(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    assert page_as(admin_user).post(f"{KPIS}mttr/delete/", {"post": "yes"}).status_code == 403
    assert KpiDefinitionVersion.objects.filter(definition=mttr).exists()
    assert KpiTarget.objects.filter(definition=mttr).count() == 2


# --- The audit trail ---


def test_a_definition_change_and_who_may_see_it_are_audited(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, visibility="internal", reason="Not yet."))
    change = AuditEvent.objects.get(action=Action.KPI_DEFINITION_CHANGE)
    seen = AuditEvent.objects.get(action=Action.VISIBILITY_CHANGE)
    assert (change.object_id, change.actor_name, change.reason) == ("mttr", admin_user.email, "Not yet.")
    assert (change.before, change.after) == (
        {"version": 1, "visibility": "exec"},
        {"version": 2, "visibility": "internal"},
    )
    assert (seen.before, seen.after) == ({"visibility": "exec"}, {"visibility": "internal"})


def test_a_save_without_a_change_is_not_audited(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr))
    assert not AuditEvent.objects.filter(action=Action.KPI_DEFINITION_CHANGE).exists()


def test_retiring_is_audited(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(KPIS, {"action": "retire", "_selected_action": [mttr.pk]})
    assert AuditEvent.objects.get(action=Action.KPI_DEFINITION_CHANGE).after["status"] == "retired"
