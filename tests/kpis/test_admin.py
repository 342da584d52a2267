"""The definition tool: what it accepts, what it refuses, and that every change leaves a version."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.audit import Action
from accounts.models import AuditEvent, User
from incidents import actions
from kpis.actions import Edit, Editor, Running, create, running_of, save, state_of
from kpis.admin_forms import DEFINITION_HELP, TARGET_HELP
from kpis.compute import backfill
from kpis.definitions import save_version
from kpis.models import (
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiDraft,
    KpiObservation,
    KpiReview,
    KpiTarget,
)
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, stamp

pytestmark = pytest.mark.django_db

KPIS = "/admin/kpis/kpidefinition/"
TARGET = {"severity": "", "alarm_level": "", "operator": "lte", "value": "60"}


@pytest.fixture(autouse=True)
def _as_django_saves_rows(settings: Any) -> None:
    """Its formsets read each posted row by its id, and a step locks each of the definitions it is for: a handful."""
    settings.ZEAL_ALLOWLIST = [
        {"model": "kpis.KpiTarget", "field": "get()"},
        {"model": "kpis.KpiDefinition", "field": "get()"},
    ]


@pytest.fixture
def mttr() -> KpiDefinition:
    return KpiDefinition.objects.get(slug="mttr")


def page_of(definition: KpiDefinition) -> str:
    return f"{KPIS}{definition.pk}/change/"


def filled(definition: KpiDefinition, *more: dict[str, str], **changes: str) -> dict[str, str]:
    """What the form of a definition sends, with its targets and `more` new ones."""
    names = ("slug", "name", "description", "formula", "units", "visibility", "owner", "review_cadence")
    form = {name: getattr(definition, name) for name in names}
    seen = state_of(definition) if definition.current_version else ""
    form |= {"spec": json.dumps(definition.spec), "seen": seen, "reason": "Agreed."}
    form |= {name: "on" for name in ("stakeholder_visible", "is_personal") if getattr(definition, name)}
    targets = list(definition.targets.all()) if definition.current_version else []
    rows = [{name: str(getattr(row, name)) for name in TARGET} | {"id": str(row.pk)} for row in targets] + list(more)
    for index, row in enumerate(rows):
        form |= {f"targets-{index}-{name}": value for name, value in row.items()}
        form[f"targets-{index}-definition"] = definition.pk
    counts = {"targets": (len(rows), len(targets)), "versions": (0, 0), "reviews": (0, 0)}
    for prefix, (total, known) in counts.items():
        form |= {f"{prefix}-TOTAL_FORMS": str(total), f"{prefix}-INITIAL_FORMS": str(known)}
    return {**form, **changes}


def errors(answer: Any) -> str:
    assert answer.status_code == 200, "the form was accepted"
    return str(answer.context["errors"])


# --- Versions ---


def test_a_change_leaves_a_version_with_who_and_why(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, owner="Duty lead", reason="New owner."))
    mttr.refresh_from_db()
    version = mttr.versions.get(minor=1)
    assert (mttr.owner, mttr.current_version) == ("Duty lead", 1)
    assert (version.changed_by, version.reason, version.snapshot["owner"]) == (admin_user, "New owner.", "Duty lead")


def test_a_changed_target_leaves_a_version_too(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, **{"targets-0-value": "90"}))
    assert mttr.versions.get(minor=1).snapshot["targets"][0]["value"] == 90


def test_saving_without_a_change_leaves_none(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr), follow=True)
    assert mttr.versions.count() == 1
    assert "Nothing differs" in answer.content.decode()


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
    assert "mttr was saved while you were editing it (you saw v1, it is v1.1)" in errors(answer)
    mttr.refresh_from_db()
    assert mttr.owner == "First"


def test_a_new_definition_begins_with_version_1(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    draft = KpiDefinition(
        slug="mean-outage", name="Mean Outage", spec=mttr.spec, units="minutes", owner="Ops", formula="x"
    )
    draft.description = "How long it lasts."
    sent = filled(draft, TARGET, reason="")
    page_as(admin_user).post(f"{KPIS}add/", sent)
    made = KpiDefinition.objects.get(slug="mean-outage")
    assert (made.current_version, made.targets.get().value, made.versions.get().changed_by) == (1, 60, admin_user)
    assert (made.status, made.spec, made.draft.spec) == (DefinitionStatus.DRAFT, None, mttr.spec)


def test_a_slug_stays(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, slug="other", name="Time to Resolve"))
    mttr.refresh_from_db()
    assert mttr.name == "Time to Resolve"
    assert not KpiDefinition.objects.filter(slug="other").exists()


# --- What is refused, at its field ---


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{", "Line 1, column 2: this is no JSON"),
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


def test_a_formula_can_be_taken_away(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, spec=""))
    assert KpiDefinition.objects.get(pk="mttr").draft.spec is None


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"severity": "criticl"}, "not one of the available choices"),
        ({"alarm_level": "box9"}, "not one of the available choices"),
        ({"value": "nan"}, "Enter a number."),
        ({"value": "1e400"}, "Enter a number."),
        ({"value": "1e15"}, "between -1e15 and 1e15"),
        ({"severity": "critical"}, "could both hold for one value on one day"),
        ({"alarm_level": "box3"}, "≤ 60 for box3"),
        ({"effective_from": "2026-03-02", "effective_to": "2026-03-02"}, "This must come after 2026-03-02"),
        ({"warn_value": "61"}, "this must lie below 60"),
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
    swapped = {"targets-0-severity": "high", "targets-1-severity": "critical"}
    page_as(admin_user).post(page_of(mttr), filled(mttr, **swapped))
    assert list(mttr.targets.values_list("severity", "value")) == [("critical", 240), ("high", 120)]


def test_a_target_can_go(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr, **{"targets-0-DELETE": "on"}))
    assert [target.severity for target in mttr.targets.all()] == ["high"]


# --- Reviewing and retiring ---


def test_a_review_has_a_note_and_is_no_new_version(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    asked = browser.post(KPIS, {"action": "mark_reviewed", "_selected_action": ["mttr", "mtta"]})
    assert asked.url == f"{KPIS}step/review/?of=mtta&of=mttr"
    browser.post(asked.url, {"reason": " "})
    assert not KpiReview.objects.exists()
    browser.post(asked.url, {"reason": "Read it with the ops leads."})
    mttr.refresh_from_db()
    review = mttr.reviews.get()
    assert (review.reviewed_by, review.note) == (admin_user, "Read it with the ops leads.")
    assert (mttr.last_reviewed_at, mttr.versions.count()) == (review.reviewed_at, 1)
    assert KpiReview.objects.count() == 2


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


def test_a_kpi_is_retired_with_a_reason_and_brought_back(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    for step, says in (("retire", "Retired: mttr."), ("retire", "Nothing to do."), ("bring-back", "Back: mttr.")):
        answer = page_as(admin_user).post(f"{KPIS}step/{step}/?of=mttr", {"reason": f"To {step}."}, follow=True)
        assert says in answer.content.decode()
    mttr.refresh_from_db()
    assert mttr.status == DefinitionStatus.ACTIVE
    assert [(row.number, row.reason) for row in mttr.versions.all()] == [
        ("1.2", "To bring-back."),
        ("1.1", "To retire."),
        ("1", "Built in"),
    ]


def test_retiring_without_a_reason_is_refused(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(f"{KPIS}step/retire/?of=mttr", {"reason": ""})
    assert "This field is required" in answer.content.decode()
    assert mttr.versions.count() == 1


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
    browser.get(page_of(mttr))  # reads the messages of the saves
    with django_assert_max_num_queries(10):
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


def test_chosen_values_are_taken_along_and_the_trail_says_so(numbers: None, admin_user: User, page_as: Knock) -> None:
    browser, place = page_as(admin_user), "/admin/kpis/kpiobservation/"
    row, *_ = browser.get(place, {"confidence": "high"}).context["cl"].result_list
    taken = browser.post(place, {"action": "export_csv", "_selected_action": [row.pk]}).content.decode().splitlines()
    assert (len(taken), taken[1].split(",")[:3]) == (2, [row.pk, row.kpi_id, row.subject_key])
    assert AuditEvent.objects.get(action="export").after == {"kpi_observations": 1, "format": "csv"}


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
        {"version": "1", "visibility": "exec"},
        {"version": "1.1", "visibility": "internal"},
    )
    assert (seen.before, seen.after) == ({"visibility": "exec"}, {"visibility": "internal"})


def test_a_save_without_a_change_is_not_audited(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(page_of(mttr), filled(mttr))
    assert not AuditEvent.objects.filter(action=Action.KPI_DEFINITION_CHANGE).exists()


def test_retiring_is_audited(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(f"{KPIS}step/retire/?of=mttr", {"reason": "Replaced."})
    told = AuditEvent.objects.get(action=Action.KPI_DEFINITION_CHANGE)
    assert (told.after["status"], told.reason, told.actor_name) == ("retired", "Replaced.", admin_user.email)


# --- Drafts ---


def edited(definition: KpiDefinition) -> dict[str, str]:
    """The form with another formula: the median in place of the mean."""
    spec = json.dumps(definition.spec).replace('"agg": "avg"', '"agg": "median"')
    return filled(definition, spec=spec, formula="median(resolved_at - detected_at)", reason="Outliers.")


def test_a_changed_formula_is_a_draft_and_what_runs_stays(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    browser = page_as(admin_user)
    answer = browser.post(page_of(mttr), edited(mttr), follow=True)
    assert "what runs has not changed" in answer.content.decode()
    stored = KpiDefinition.objects.get(pk="mttr")
    assert (stored.spec, stored.formula, stored.versions.count()) == (mttr.spec, mttr.formula, 1)
    shown = browser.get(page_of(mttr))
    assert "This shows a draft of the formula" in shown.content.decode()
    assert "&quot;median&quot;" in shown.content.decode()


def test_publishing_needs_a_reason_and_tells_what_is_outdated(
    numbers: None, mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    browser = page_as(admin_user)
    browser.post(page_of(mttr), edited(mttr))
    count = mttr.observations.current().count()
    assert "This field is required" in browser.post(f"{KPIS}mttr/publish/", {"reason": ""}).content.decode()
    assert "median" in browser.get(f"{KPIS}mttr/publish/").content.decode()
    said = browser.post(f"{KPIS}mttr/publish/", {"reason": "Agreed."}, follow=True).content.decode()
    assert f"Published v2 of mttr. {count} observations are of v1: recompute with mim kpi backfill --kpi mttr" in said
    stored = KpiDefinition.objects.get(pk="mttr")
    assert (stored.spec["calc"]["agg"], stored.current_version) == ("median", 2)
    assert browser.post(f"{KPIS}mttr/publish/", {"reason": "Again."}).context["refused"].startswith("There is no draft")


def test_a_draft_of_a_kpi_that_never_ran_stays_though_it_says_what_stands(
    mttr: KpiDefinition, admin_user: User
) -> None:
    """Before the first publishing nothing runs, so there is nothing to go back to by dropping the draft."""
    editor, described = Editor(admin_user, NOON), {"name": "Idea", "description": "x", "owner": "Ops"}
    create("idea", Edit(described, Running("x", mttr.spec, "minutes"), []), editor)
    idea = KpiDefinition.objects.get(slug="idea")
    save(idea, Edit(running=running_of(idea)), editor, reason="Without a formula for now")
    assert running_of(KpiDraft.objects.get(definition=idea)) == running_of(idea)
    running = running_of(mttr)
    save(mttr, Edit(running=Running("y", running.spec, running.units)), editor, reason="Another way")
    save(mttr, Edit(running=running), editor, reason="Back")
    assert not KpiDraft.objects.filter(definition=mttr).exists()


def test_a_save_says_one_sentence(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    answer = page_as(admin_user).post(page_of(mttr), filled(mttr, name="Time to Resolve"), follow=True)
    told = [str(message) for message in answer.context["messages"]]
    assert told == ["Saved v1.1 of mttr; the numbers stay as they are."]


def test_every_field_says_what_it_means_an_example_and_who_sees_it(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    page = page_as(admin_user).get(page_of(mttr)).context
    targets = page["inline_admin_formsets"][0].formset.forms[0].fields
    fields = {**page["adminform"].form.fields, **targets}
    helped = {name: fields[name].help_text for name in {*DEFINITION_HELP, *TARGET_HELP, "reason"} - {"slug"}}
    assert {*fields} - {*helped} <= {"seen", "id", "definition", "DELETE"}
    for name, text in {**helped, "slug": DEFINITION_HELP["slug"]}.items():
        assert "e.g." in text, name
        assert any(word in text for word in ("Seen", "sees", "reads", "seen", "see ", "read")), name


def test_a_draft_can_be_dropped(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    browser.post(page_of(mttr), edited(mttr))
    browser.post(f"{KPIS}mttr/publish/", {"discard": "yes"})
    assert not KpiDraft.objects.exists()
    assert mttr.versions.count() == 1


def test_versions_are_compared_and_one_is_put_back(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    browser.post(page_of(mttr), filled(mttr, description="How long it lasts."))
    shown = browser.get(f"{KPIS}mttr/versions/").content.decode()
    assert "<del>" in shown
    assert "v1 → v1.1" in shown
    said = browser.post(f"{KPIS}mttr/versions/", {"restore": "1", "reason": "Too short."}, follow=True)
    assert "Put back v1" in said.content.decode()
    stored = KpiDefinition.objects.get(pk="mttr")
    assert stored.description == mttr.description
    assert stored.versions.first().reason == "As in v1: Too short."


# --- The label of evidence is derived ---


def test_nobody_types_the_evidence_but_a_proxy_may_be_flagged(
    mttr: KpiDefinition, admin_user: User, page_as: Knock
) -> None:
    browser = page_as(admin_user)
    assert not {"evidence", "latest_evidence"} & set(browser.get(page_of(mttr)).context["adminform"].form.fields)
    browser.post(page_of(mttr), filled(mttr, proxy_for="time to a working site", evidence="verified"))
    stored = KpiDefinition.objects.get(pk="mttr")
    assert stored.proxy_for == "time to a working site"
    assert stored.versions.first().snapshot["proxy_for"] == "time to a working site"
    assert not any("evidence" in column.name for column in KpiDefinition._meta.get_fields())


# --- Files ---


@pytest.mark.parametrize(("ending", "action"), [("zip", "yaml"), ("json", "json"), ("csv", "csv"), ("md", "markdown")])
def test_an_export_is_a_file_and_audited(ending: str, action: str, admin_user: User, page_as: Knock) -> None:
    sent = {"action": f"export_{action}", "_selected_action": ["mttr", "mtta"]}
    answer = page_as(admin_user).post(KPIS, sent)
    assert answer["Content-Disposition"] == f'attachment; filename="kpi-definitions.{ending}"'
    assert AuditEvent.objects.get(action=Action.EXPORT).after == {
        "kpi_definitions": ["mtta", "mttr"],
        "format": ending,
    }


def test_an_import_is_shown_before_it_is_saved(mttr: KpiDefinition, admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    exported = browser.post(KPIS, {"action": "export_json", "_selected_action": "mttr"}).content.decode()
    changed = exported.replace("Ops Leader", "Duty lead").encode()
    shown = browser.post(f"{KPIS}import/", {"file": SimpleUploadedFile("kpis.json", changed)})
    assert [(row.slug, row.state, len(row.changes)) for row in shown.context["plan"]] == [("mttr", "changed", 1)]
    assert mttr.versions.count() == 1
    sent = {**shown.context["form"].initial, "reason": "From git."}
    browser.post(f"{KPIS}import/", sent)
    stored = KpiDefinition.objects.get(pk="mttr")
    assert (stored.owner, stored.versions.first().reason) == ("Duty lead", "From git.")
    again = browser.post(f"{KPIS}import/", sent)
    assert "changed meanwhile" in again.content.decode()


def test_an_import_with_an_error_offers_nothing_to_save(admin_user: User, page_as: Knock) -> None:
    upload = SimpleUploadedFile("kpis.yaml", b"slug: mttr\nname: [")
    assert "cannot be read" in page_as(admin_user).post(f"{KPIS}import/", {"file": upload}).content.decode()
    nameless = [SimpleUploadedFile(name, text) for name, text in (("a.json", b"[]"), ("b.yaml", b"name: N"))]
    told = page_as(admin_user).post(f"{KPIS}import/", {"file": nameless}).content.decode()
    assert "b.yaml holds something without a slug" in told
    upload = SimpleUploadedFile("kpis.yaml", b"slug: new-kpi\nname: N\n")
    shown = page_as(admin_user).post(f"{KPIS}import/", {"file": upload})
    assert (shown.context["is_ready"], "description is needed" in shown.content.decode()) == (False, True)


# --- Only administrators ---


@pytest.mark.parametrize(
    "page", ["import/", "step/review/?of=mttr", "mttr/preview/", "mttr/publish/", "mttr/versions/"]
)
def test_the_pages_of_the_tool_are_for_administrators(page: str, mim: User, page_as: Knock) -> None:
    assert page_as(mim).post(f"{KPIS}{page}", {"reason": "Let me."}).status_code == 302
    assert not KpiReview.objects.exists()


@pytest.mark.parametrize("page", ["import/", "step/review/?of=mttr", "mttr/publish/", "mttr/versions/", "add/"])
def test_each_page_of_the_tool_is_bounded(
    page: str, admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    browser = page_as(admin_user)
    with django_assert_max_num_queries(10):
        assert browser.get(f"{KPIS}{page}").status_code == 200
