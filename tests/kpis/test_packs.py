"""Packs: every row of the inventory is there, installing is safe to repeat, and an empty database shows no number."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from kpis.actions import Edit, Editor, Running, draft_of, save
from kpis.catalog import BUILT_IN
from kpis.compute import backfill
from kpis.exchange import read, read_ours
from kpis.explain import explain
from kpis.facts import decisions, ingest, kinds
from kpis.models import Decision, DefinitionStatus, Fact, FactKind, KpiDefinition, KpiDefinitionVersion, KpiObservation
from kpis.packs import files, guide, inventory, reading, sessions
from kpis.packs.files import day_of
from kpis.packs.install import NotInstalled, install, remove, update
from kpis.packs.standing import Done, State, compare
from kpis.standing import Standings
from kpis.targets import Stated
from kpis.viewing import figures_of
from majorops.lib.errors import Invalid
from tests.cast import Knock
from tests.factories import IncidentFactory, at
from tests.kpis import DEFINITIONS
from tests.kpis.facts import event, send
from tests.pages import Page
from tests.run import ROOT

pytestmark = pytest.mark.django_db
NOW = at("2026-03-02T12:00")
EDITOR = Editor(None, NOW)
START = date(2026, 3, 2)
CENTRE, IMPACT, TRACKER = (
    files.pack(slug) for slug in ("operator-control-centre", "engineering-impact", "success-tracker")
)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


# --- The inventory ---


def test_every_row_of_the_inventory_stands_for_something() -> None:
    rows = [line for line in inventory.lines() if not line.is_alert]
    assert [line.row for line in rows] == [str(number) for number in range(1, 141)]
    assert [line.row for line in inventory.lines() if line.is_alert] == [f"AL{number}" for number in range(1, 11)]
    known = {*inventory.entries(), *(each.slug for each in BUILT_IN)}
    for line in inventory.lines():
        assert line.slugs or line.page, line
        assert known.issuperset(line.slugs), line


def test_every_kpi_of_a_pack_stands_in_the_inventory_at_its_row() -> None:
    told = {(int(line.row), slug) for line in inventory.lines() if not line.is_alert for slug in line.slugs}
    packs = {(entry.row, entry.slug) for entry in inventory.entries().values()}
    assert packs == {pair for pair in told if pair[1] in inventory.entries()}


def test_the_printed_table_is_the_one_that_the_files_give() -> None:
    assert (ROOT / "docs" / "packs.md").read_text(encoding="utf-8") == inventory.document()


@pytest.mark.parametrize("pack", [CENTRE, IMPACT, TRACKER], ids=lambda pack: pack.slug)
def test_each_pack_has_a_page_of_its_own_with_pictures(pack: files.Pack) -> None:
    page = ROOT / "docs" / "packs" / f"{pack.slug}.md"
    assert page.read_text(encoding="utf-8") == guide.page(pack)
    pictures = re.findall(r"\(\.\./screens/([a-z-]+\.png)\)", guide.page(pack))
    assert len(pictures) == 12
    assert [name for name in pictures if not (ROOT / "docs" / "screens" / name).exists()] == []


@pytest.mark.parametrize("file", ["shared/kinds.yaml", "success-tracker/tables.yaml"])
def test_our_files_say_the_same_to_the_strict_reader(file: str) -> None:
    path = files.FOLDER / file
    assert read_ours(path.read_text(encoding="utf-8")) == read(path.name, path.read_bytes())


def test_no_slug_and_no_kind_is_in_two_packs_otherwise() -> None:
    slugs = [entry.slug for pack in files.every() for entry in pack.entries]
    assert [slug for slug, count in Counter(slugs).items() if count > 1] == []
    told = {kind.key: kind for pack in files.every() for kind in pack.kinds}
    assert all(told[kind.key] == kind for pack in files.every() for kind in pack.kinds)


def test_printed_examples_run_as_they_are_printed() -> None:
    known = inventory.entries()
    ours = {slug: spec for slug, spec in DEFINITIONS.items() if slug in known}
    assert len(ours) == 25
    for slug, spec in ours.items():
        assert {**known[slug].spec, "group_by": None} == {**spec, "group_by": None}, slug
        assert list(known[slug].spec["group_by"]) == spec["group_by"], slug


@pytest.mark.parametrize(
    ("due", "day"), [("week 4", date(2026, 3, 30)), ("day 90", date(2026, 5, 31)), ("month 12", date(2027, 3, 2))]
)
def test_due_dates_count_from_the_first_day(due: str, day: date) -> None:
    assert day_of(due, START) == day


def test_a_month_ends_where_the_calendar_lets_it() -> None:
    assert day_of("month 1", date(2026, 1, 31)) == date(2026, 2, 28)
    with pytest.raises(Invalid, match="week 4"):
        day_of("soon", START)


# --- Installing ---


def states(found: list[object]) -> Counter[str]:
    return Counter(str(done.state) for done in found)  # type: ignore[attr-defined]


@pytest.mark.parametrize("pack", [CENTRE, IMPACT, TRACKER], ids=lambda pack: pack.slug)
def test_installing_again_changes_nothing(pack: files.Pack) -> None:
    assert set(states(install(pack, EDITOR, start=START))) == {"new"}
    counts = KpiDefinitionVersion.objects.count(), FactKind.objects.count()
    assert set(states(install(pack, EDITOR))) == {"same"}
    assert (KpiDefinitionVersion.objects.count(), FactKind.objects.count()) == counts


def test_ladders_become_days_of_the_calendar() -> None:
    install(TRACKER, EDITOR, start=START)
    rungs = KpiDefinition.objects.get(pk="security-score").targets.order_by("due_on").values_list("value", "due_on")
    assert list(rungs) == [(80, date(2026, 3, 30)), (90, date(2026, 4, 27)), (95, date(2026, 5, 25))]


def test_what_an_administrator_changed_stays_and_is_told() -> None:
    install(IMPACT, EDITOR, start=START)
    kpi = KpiDefinition.objects.get(pk="cycle-time")
    save(kpi, Edit({"owner": "Us"}, targets=[Stated("lt", 20)]), EDITOR, reason="Ours")
    row = FactKind.objects.get(pk="oom_kill")
    kinds.define(kinds.Kind("oom_kill", "Ours.", row.fields, "Us"), by=None, reason="Ours", now=NOW)
    found = {done.key: done for done in install(IMPACT, EDITOR) if done.state is State.DIFFERS}
    assert {change.name for change in found["cycle-time"].changes} == {"owner", "targets"}
    assert set(found) == {"cycle-time", "oom_kill"}
    assert KpiDefinition.objects.get(pk="cycle-time").owner == "Us"


def test_a_pack_is_undone_by_retiring_and_comes_back() -> None:
    install(CENTRE, EDITOR, start=START)
    assert len(remove(CENTRE, EDITOR, reason="Over")) == len(list(CENTRE.entries))
    assert not KpiDefinition.objects.filter(slug="activation-rate", status=DefinitionStatus.ACTIVE).exists()
    with pytest.raises(NotInstalled):
        remove(CENTRE, EDITOR, reason="Over")
    assert states(install(CENTRE, EDITOR, start=START))["brought back"] == len(list(CENTRE.entries))
    assert states(compare(CENTRE, now=NOW)) == Counter(same=15)


def test_an_installed_programme_keeps_its_first_day() -> None:
    install(CENTRE, EDITOR, start=START)
    with pytest.raises(Invalid, match="began on 2026-03-02"):
        install(CENTRE, EDITOR, start=START + timedelta(days=1))


def test_installing_is_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    KpiDefinition.objects.create(slug="health-score", name="x", description="x", formula="x", units="count", owner="x")
    KpiDefinition.objects.filter(pk="health-score").update(spec=None)
    monkeypatch.setattr(type(TRACKER), "in_order", property(lambda pack: [*reversed(list(pack.entries))]))
    before = KpiDefinition.objects.count()
    with pytest.raises(Invalid, match="There is no KPI"):
        install(TRACKER, EDITOR, start=START)
    assert (KpiDefinition.objects.count(), FactKind.objects.filter(pk="call").count()) == (before, 0)


def test_installing_costs_little(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """A query for each KPI was once not enough; the test suite installs packs hundreds of times."""
    with django_assert_max_num_queries(65):
        install(TRACKER, EDITOR, start=START)


def test_each_kpi_has_one_version_and_one_entry_in_the_audit_trail() -> None:
    install(CENTRE, EDITOR, start=START)
    slugs = [entry.slug for entry in CENTRE.entries]
    versions = KpiDefinitionVersion.objects.filter(definition__in=slugs)
    assert {(each.number, each.reason, each.snapshot["status"]) for each in versions} == {
        ("1", "Pack operator-control-centre", "active")
    }
    told = AuditEvent.objects.filter(object_id__in=slugs)
    assert (versions.count(), sorted(told.values_list("object_id", flat=True))) == (len(slugs), sorted(slugs))
    assert told[0].after["spec"] == KpiDefinition.objects.get(pk=told[0].object_id).spec


# --- Newer files ---


def newer(pack: files.Pack, slug: str, **told: object) -> files.Pack:
    """The pack as its files might say later."""

    def entry(each: files.Entry) -> files.Entry:
        return replace(each, told={**each.told, **told}) if each.slug == slug else each

    return replace(pack, groups=tuple(replace(one, entries=tuple(map(entry, one.entries))) for one in pack.groups))


def found(done: list[Done], key: str) -> Done:
    return next(each for each in done if each.key == key)


LATER = newer(
    CENTRE, "sla-resolution-time", description="Newer.", spec={**DEFINITIONS["sla-resolution-time"], "group_by": []}
)


def test_newer_files_are_told_and_change_nothing_by_themselves() -> None:
    install(CENTRE, EDITOR, start=START)
    told = found(install(LATER, EDITOR), "sla-resolution-time")
    assert (told.state, {change.name for change in told.changes}) == (State.OUTDATED, {"description", "spec"})
    assert KpiDefinition.objects.get(pk="sla-resolution-time").description != "Newer."


def test_an_update_publishes_newer_files_as_a_version_with_its_reason() -> None:
    install(CENTRE, EDITOR, start=START)
    done = update(LATER, EDITOR, reason="Shops are told elsewhere")
    assert states(done) == Counter(same=len(done) - 1, updated=1)
    kpi = KpiDefinition.objects.get(pk="sla-resolution-time")
    assert (kpi.description, kpi.spec["group_by"], kpi.current_version) == ("Newer.", [], 2)  # type: ignore[index]
    assert kpi.versions.all()[0].reason == "Pack operator-control-centre: Shops are told elsewhere"
    assert set(states(update(LATER, EDITOR, reason="Again"))) == {"same"}
    assert found(compare(CENTRE, now=NOW), kpi.slug).state is State.OUTDATED  # the next files find it untouched too


def test_what_was_changed_here_is_taken_over_only_by_its_name() -> None:
    install(CENTRE, EDITOR, start=START)
    kpi = KpiDefinition.objects.get(pk="sla-resolution-time")
    save(kpi, Edit({"owner": "Us"}), EDITOR, reason="Ours")
    assert found(update(LATER, EDITOR, reason="Newer"), kpi.slug).state is State.DIFFERS
    assert KpiDefinition.objects.get(pk=kpi.slug).owner == "Us"
    assert found(update(LATER, EDITOR, reason="Newer", only=[kpi.slug]), kpi.slug).state is State.UPDATED
    assert KpiDefinition.objects.get(pk=kpi.slug).owner != "Us"
    with pytest.raises(Invalid, match="no KPI and no kind"):
        update(LATER, EDITOR, reason="Newer", only=["mttr"])


def test_a_formula_in_the_making_is_not_lost_to_an_update() -> None:
    install(CENTRE, EDITOR, start=START)
    kpi = KpiDefinition.objects.get(pk="sla-resolution-time")
    save(kpi, Edit(running=Running("Ours.", None, kpi.units)), EDITOR, reason="In the making")
    assert found(update(LATER, EDITOR, reason="Newer"), kpi.slug).state is State.DIFFERS
    assert draft_of(kpi) is not None


def test_a_kind_is_updated_and_what_is_new_in_the_files_is_installed() -> None:
    install(replace(CENTRE, groups=CENTRE.groups[:1]), EDITOR, start=START)
    assert not KpiDefinition.objects.filter(pk="sales-revenue").exists()
    kind = next(each for each in CENTRE.kinds if each.key == "ga.sessions.anomaly")
    fields = {**kind.fields, "country": {"type": "string"}}
    later = replace(
        CENTRE, kinds=tuple(replace(each, fields=fields) if each is kind else each for each in CENTRE.kinds)
    )
    assert found(compare(later, now=NOW), kind.key).state is State.OUTDATED
    assert found(update(later, EDITOR, reason="By country"), kind.key).state is State.UPDATED
    row = FactKind.objects.get(pk=kind.key)
    assert (row.version, "country" in row.fields) == (2, True)
    assert KpiDefinition.objects.filter(pk="sales-revenue").exists()


def test_an_update_needs_a_reason_and_an_installed_pack() -> None:
    with pytest.raises(NotInstalled):
        update(CENTRE, EDITOR, reason="Why not")
    install(CENTRE, EDITOR, start=START)
    with pytest.raises(Invalid, match="reason is needed"):
        update(CENTRE, EDITOR, reason=" ")


# --- Printed figures ---


def test_printed_figures_enter_only_when_asked_with_what_speaks_against_them(mim: User) -> None:
    install(TRACKER, EDITOR, start=START)
    assert not KpiObservation.objects.exists()
    install(TRACKER, EDITOR, with_claims=True)
    figure = KpiObservation.objects.get(kpi="health-score")
    assert (figure.value, figure.source, figure.evidence) == (73, "import", "partial")
    assert figure.evidence_reasons[0]["code"] == "contradicted"
    assert "55.35" in figure.evidence_reasons[0]["words"]
    rows = {row.kpi.slug: row for row in reading.opened(TRACKER, mim, NOW).rows}
    assert "55.35" in rows["health-score"].figure.reasons[0]
    claimed = {each.kpi for each in TRACKER.printed}
    assert {slug for slug, row in rows.items() if slug in claimed and row.figure.has_value} == claimed
    assert all(row.use != "now" for row in rows.values())
    assert states(install(TRACKER, EDITOR, with_claims=True))["new"] == 0


def test_commits_are_no_deployments() -> None:
    install(IMPACT, EDITOR, start=START, with_claims=True)
    reasons = KpiObservation.objects.get(kpi="deployment-frequency").evidence_reasons
    assert "8.08" in reasons[0]["words"]
    assert (round(30 / 26 * 7, 2), round(9 / 26 * 7, 2)) == (8.08, 2.42)


def test_the_printed_categories_give_another_score_than_the_printed_one() -> None:
    """G13 from stored facts."""
    install(TRACKER, EDITOR, start=START)
    send(event("security.control", "2026-03-01T08:00", control="all", score=65))
    scores = {"compliance": 40, "performance": 78, "business_value": 25, "operational": 85}
    send(*(event("category.score", "2026-03-01T08:00", category=name, score=score) for name, score in scores.items()))
    backfill(KpiDefinition.objects.get(pk="health-score"), as_of=at("2026-03-02T00:00"))
    assert KpiObservation.objects.current().get(kpi="health-score").value == 55.35


def test_a_missing_category_leaves_no_score() -> None:
    install(TRACKER, EDITOR, start=START)
    send(event("security.control", "2026-03-01T08:00", control="all", score=65))
    backfill(KpiDefinition.objects.get(pk="health-score"), as_of=at("2026-03-02T00:00"))
    figure = KpiObservation.objects.current().get(kpi="health-score")
    assert (figure.value, figure.evidence, figure.reason) == (None, "proposed", "part_missing")


# --- Pages ---

ADDRESSES = (
    "/packs/", "/packs/{}/", "/packs/{}/claims", "/packs/{}/roadmap", "/packs/{}/case-study", "/packs/{}/checklists",
)  # fmt: skip


def shown(page_as: Knock, user: User, address: str) -> Page:
    answer = page_as(user).get(address)
    assert answer.status_code == 200, address
    page = Page(answer.content.decode())
    assert page.faults == [], address
    return page


@pytest.mark.parametrize("pack", [CENTRE, IMPACT, TRACKER], ids=lambda pack: pack.slug)
def test_an_empty_database_shows_no_number(
    page_as: Knock, mim: User, executive: User, pack: files.Pack, settings: object
) -> None:
    settings.MAJOROPS_SESSION_FACTS = False  # type: ignore[attr-defined]  # a visit is a row itself
    install(pack, EDITOR, start=START)
    for user in (mim, executive):
        html = page_as(user).get(f"/packs/{pack.slug}/").content.decode()
        values = re.findall(r'data-kpi="([a-z0-9-]+)">([^<]*)<', html)
        assert len(values) >= 3
        assert {value.strip() for _, value in values} == {"—"}
    rows = reading.opened(pack, mim, NOW).rows
    elsewhere = figures_of([row.kpi for row in rows], mim, Standings([row.kpi for row in rows], NOW))
    for row in rows:
        assert (row.figure.evidence, row.figure.n, row.value) == ("proposed", 0, None), row.kpi.slug
        assert {each.evidence for each in elsewhere[row.kpi.slug]} == {"proposed"}, row.kpi.slug
        assert row.missing or row.kpi.spec["calc"]["kind"] == "reported", row.kpi.slug  # type: ignore[index]


@pytest.mark.parametrize("pack", [CENTRE, IMPACT, TRACKER], ids=lambda pack: pack.slug)
def test_nightly_figures_of_nothing_show_no_number_either(mim: User, pack: files.Pack) -> None:
    install(pack, EDITOR, start=START)
    for kpi in KpiDefinition.objects.computable().filter(slug__in=[entry.slug for entry in pack.entries]):
        backfill(kpi, as_of=at("2026-03-02T00:00"))
    for row in reading.opened(pack, mim, NOW).rows:
        assert (row.figure.evidence, row.value, row.figure.value) == ("proposed", None, "—"), row.kpi.slug


def test_what_nobody_told_of_is_not_stored_as_0(mim: User) -> None:
    """Checklists are registered, so there is something to take a share of; and nobody ever ticked."""
    install(TRACKER, EDITOR, start=START)
    kpi = KpiDefinition.objects.get(pk="overall-progress")
    backfill(kpi, as_of=at("2026-03-02T00:00"))
    figure = KpiObservation.objects.current().get(kpi=kpi, dims_key="")
    assert (figure.value, figure.reason, figure.evidence) == (None, "never_received", "proposed")
    assert explain(figure, mim).changes == ()
    send({**event("milestone.done", "2026-03-02T08:00", done=False), "subject": "week-1-1"})
    backfill(kpi, as_of=at("2026-03-03T00:00"))
    assert KpiObservation.objects.current().latest("timestamp").value == 0


@pytest.mark.parametrize("pack", [CENTRE, IMPACT, TRACKER], ids=lambda pack: pack.slug)
def test_every_page_answers_installed_or_not(page_as: Knock, mim: User, pack: files.Pack) -> None:
    for is_installed in (False, True):
        if is_installed:
            install(pack, EDITOR, start=START)
        for address in ADDRESSES:
            answer = page_as(mim).get(address.format(pack.slug))
            has_it = {"checklists": pack.checklists, "case-study": pack.case_study}.get(
                address.rsplit("/", 1)[-1], True
            )
            assert answer.status_code == (200 if has_it else 404), address
            assert Page(answer.content.decode()).faults == [], address


def test_the_proposed_list_names_the_kind_that_is_missing(page_as: Knock, mim: User) -> None:
    install(IMPACT, EDITOR, start=START)
    page = shown(page_as, mim, "/packs/engineering-impact/")
    assert "Never received: deployed." in page.text
    assert "Needs measurement" in shown(page_as, mim, "/packs/engineering-impact/claims").text
    assert "Bootstrap Time" in shown(page_as, mim, "/packs/engineering-impact/roadmap").text


def test_an_executive_reads_executive_kpis_only(page_as: Knock, executive: User, stakeholder: User) -> None:
    install(TRACKER, EDITOR, start=START)
    page = shown(page_as, executive, "/packs/success-tracker/")
    assert "System Health Score" in page.text
    assert "Team Formation" not in page.text
    assert page_as(stakeholder).get("/packs/success-tracker/").status_code == 403
    assert page_as(executive).get("/packs/success-tracker/checklists").status_code == 403


def test_a_page_costs_the_same_however_many_kpis(
    page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for pack in (CENTRE, TRACKER):
        install(pack, EDITOR, start=START)
        client = page_as(mim)
        client.get(f"/packs/{pack.slug}/claims")
        with django_assert_max_num_queries(18):
            client.get(f"/packs/{pack.slug}/claims")


def test_a_value_before_its_day_is_neither_met_nor_unknown(mim: User) -> None:
    install(IMPACT, EDITOR, start=START)
    send(event("oom_kill", "2026-03-01T08:00", service="web"))
    backfill(KpiDefinition.objects.get(pk="oom-kills-30d"), as_of=NOW)
    found = {row.kpi.slug: row for row in reading.opened(IMPACT, mim, NOW).rows}
    kills, cpu = found["oom-kills-30d"], found["cpu-average"]
    assert (kills.state, kills.figure.goal, kills.figure.is_reached) == ("not_due", "= 0 by 31 May 2026", False)
    assert (cpu.state, reading.summary([kills, cpu])) == (
        "unknown", "met 0, at risk 0, missed 0, not due yet 1, unknown 1 of 2",
    )  # fmt: skip
    assert reading.summary([]) == "no target set"


def test_a_health_score_shows_its_weights(mim: User) -> None:
    install(TRACKER, EDITOR, start=START)
    row = reading.opened(TRACKER, mim, NOW).sections[0].rows[0]
    assert [(weight.slug, weight.percent) for weight in row.weights][:2] == [
        ("security-score", 25),
        ("compliance-score", 25),
    ]
    assert {weight.value for weight in row.weights} == {"—"}


def test_before_and_after_need_evidence_at_both_ends(page_as: Knock, mim: User) -> None:
    install(IMPACT, EDITOR, start=date(2025, 11, 1))
    kpi = KpiDefinition.objects.get(pk="deployment-success-rate")
    for day, good in (("2025-11-20", 8), ("2026-02-20", 10)):
        outcomes = ["success"] * good + ["failure"] * (10 - good)
        send(
            *(
                event("deploy.finished", f"{day}T10:00", deploy_id=f"{day}-{n}", repo="shop", outcome=one)
                for n, one in enumerate(outcomes)
            )
        )
    backfill(kpi, as_of=at("2026-03-02T00:00"))
    page = shown(page_as, mim, "/packs/engineering-impact/case-study")
    assert "+20 points" not in page.text
    assert "No figure with evidence before." in page.text
    backfill(kpi, as_of=at("2025-12-01T00:00"))
    assert "+20 points" in shown(page_as, mim, "/packs/engineering-impact/case-study").text
    assert page_as(mim).get("/packs/engineering-impact/case-study?before=x").status_code == 422


# --- The operator control centre ---


def test_a_visit_is_a_fact_with_an_alias_and_the_request(page_as: Knock, mim: User) -> None:
    page_as(mim).get("/pulse")
    assert not Fact.objects.exists()
    install(CENTRE, EDITOR, start=START)
    page_as(mim).get("/pulse", headers={"X-Request-Id": "visit-one"})
    page_as(mim).get("/packs/operator-control-centre/", headers={"X-Request-Id": "visit-two"})
    facts = Fact.objects.filter(kind="dashboard.session.opened").order_by("id")
    assert [fact.request_id for fact in facts] == ["visit-one", "visit-two"]
    assert "@" not in str([(fact.actor, fact.payload) for fact in facts])
    assert facts[0].actor.startswith("person-")


def test_visits_are_no_facts_where_that_is_switched_off(page_as: Knock, mim: User, settings: object) -> None:
    settings.MAJOROPS_SESSION_FACTS = False  # type: ignore[attr-defined]
    install(CENTRE, EDITOR, start=START)
    page_as(mim).get("/pulse")
    assert not Fact.objects.exists()


@pytest.fixture
def anomaly() -> Fact:
    install(CENTRE, EDITOR, start=START)
    told = event(
        "ga.sessions.anomaly", "2026-03-02T08:00", shop_domain="a.example", landing_page="/sale", wow_delta=-40
    )
    return ingest.append(told, source="test", now=NOW)[0]


def test_an_assignment_is_the_decision_that_the_rate_counts(page_as: Knock, mim: User, anomaly: Fact) -> None:
    assert "/sale" in shown(page_as, mim, "/anomalies/").text
    shown(page_as, mim, f"/anomalies/{anomaly.pk}")
    form = {"action": sessions.ASSIGNED, "note": "SEO team looks", "evidence_url": "https://tickets.example/1"}
    for _ in range(2):
        assert page_as(mim).post(f"/anomalies/{anomaly.pk}", form).status_code == 302
    decision = Decision.objects.get()
    assert (decision.action, decision.payload["landing_page"]) == ("seo.assignment.assigned", "/sale")
    assert decision.actor.startswith("person-")
    kpi = KpiDefinition.objects.get(pk="anomaly-response-rate")
    backfill(kpi, as_of=at("2026-03-04T00:00"))
    assert KpiObservation.objects.current().get(kpi=kpi, dims_key="").value == 100


def test_who_may_not_write_facts_assigns_nothing(page_as: Knock, executive: User, anomaly: Fact) -> None:
    assert page_as(executive).get("/anomalies/").status_code == 403
    assert page_as(executive).post(f"/anomalies/{anomaly.pk}", {"action": sessions.ASSIGNED}).status_code == 403
    assert not Decision.objects.exists()


def test_the_pulse_tells_incidents_and_a_night_that_never_was(page_as: Knock, mim: User) -> None:
    install(CENTRE, EDITOR, start=START)
    IncidentFactory(severity="critical", next_update_eta=NOW - timedelta(minutes=4))
    IncidentFactory(severity="critical", restricted=True)
    tile = page_as(mim).get("/pulse/tile").content.decode()
    assert "<html" not in tile
    assert "Critical 2" in tile
    assert "stale" in tile
    assert set(re.findall(r'data-kpi="[a-z-]+">([^<]*)<', tile)) == {"—"}
    assert "Overdue updates" in shown(page_as, mim, "/pulse").text


# --- Checklists ---


def test_ticking_is_a_fact_and_can_be_taken_back(page_as: Knock, mim: User) -> None:
    install(TRACKER, EDITOR, start=START)
    address = "/packs/success-tracker/checklists"
    assert "0 of 45 done" in shown(page_as, mim, address).text
    client = page_as(mim)
    client.post(address, {"key": "week-1-1", "done": "1"})
    assert "1 of 45 done" in shown(page_as, mim, address).text
    backfill(KpiDefinition.objects.get(pk="overall-progress"), as_of=NOW + timedelta(minutes=1))
    figure = KpiObservation.objects.current().get(kpi="overall-progress", dims_key="")
    assert (figure.value, figure.numerator, figure.denominator) == (4, 1, 25)
    assert client.post(address, {"key": "nothing", "done": "1"}).status_code == 422


def test_a_decision_elsewhere_about_the_same_page_answers_it_too(mim: User, anomaly: Fact) -> None:
    told = decisions.Decided(
        "ops",
        "seo.assignment.other",
        at("2026-03-02T09:00"),
        payload={"shop_domain": "a.example", "landing_page": "/sale"},
    )
    decisions.record(told, source="elsewhere", now=NOW)
    (found,) = sessions.anomalies(mim, NOW)
    assert found.answered_in == timedelta(hours=1)
