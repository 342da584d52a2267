"""Fourteen ways to rewrite history, on every ledger, against the database itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, models, transaction
from django.db.models import QuerySet
from django.db.models.sql import DeleteQuery, UpdateQuery

from accounts.models import AuditEvent, User
from incidents import actions, promise_alerts
from incidents.alerts import inbox
from incidents.alerts.kinds import SourceKind
from incidents.models import (
    Delivery,
    DeliveryAttempt,
    Incident,
    IntakeSource,
    Notice,
    SurveyInvitation,
    TeamPage,
    TimelineEvent,
)
from kpis import credit_settings, personal
from kpis.actions import Editor, mark_reviewed
from kpis.compute import backfill
from kpis.dispatch_credit import DEFAULT
from kpis.facts import decisions, ingest, kinds, parked
from kpis.models import (
    AlertEvent,
    AlertRule,
    CreditSetting,
    KpiDefinition,
    KpiObservation,
    PackInstall,
    PersonalGrant,
)
from kpis.reports import making
from kpis.reports.kinds import Kind
from majorops.lib import ledger
from majorops.lib.appendonly import HistoryIsAppendOnly
from tests.factories import EVENING, NOON, TeamFactory, UserFactory, at, stamp

pytestmark = pytest.mark.django_db
REFUSED = (DatabaseError, HistoryIsAppendOnly, models.ProtectedError)

#: A frozen column of each ledger, and another value for it.
FROZEN: dict[str, tuple[str, Any]] = {
    "accounts.AuditEvent": ("reason", "rewritten"),
    "incidents.TimelineEvent": ("title", "rewritten"),
    "incidents.PhaseEntry": ("reason", "rewritten"),
    "incidents.StatusUpdate": ("content", "rewritten"),
    "incidents.Milestone": ("title", "rewritten"),
    "incidents.MilestoneSource": ("position", 7),
    "incidents.PromiseMove": ("reason", "rewritten"),
    "incidents.PromiseAlert": ("alerted_at", at("09:00")),
    "incidents.ExecSummary": ("body", "rewritten"),
    "incidents.ReadReceipt": ("read_at", at("09:00")),
    "incidents.RoleAssignment": ("name", "rewritten"),
    "incidents.TeamPage": ("paged_at", at("09:00")),
    "incidents.Notice": ("text", "rewritten"),
    "incidents.Delivery": ("address", "rewritten"),
    "incidents.DeliveryAttempt": ("error", "rewritten"),
    "incidents.CalendarFeed": ("created_at", at("09:00")),
    "incidents.IncidentLink": ("reason", "rewritten"),
    "incidents.IntakeEvent": ("body", "rewritten"),
    "incidents.ReviewRevision": ("reason", "rewritten"),
    "incidents.SurveyInvitation": ("created_at", at("09:00")),
    "incidents.SurveyResponse": ("comment", "rewritten"),
    "kpis.AlertEvent": ("note", "rewritten"),
    "kpis.CreditSetting": ("reason", "rewritten"),
    "kpis.Decision": ("action", "rewritten"),
    "kpis.Fact": ("actor", "rewritten"),
    "kpis.FactKindVersion": ("reason", "rewritten"),
    "kpis.PersonalGrant": ("reason", "rewritten"),
    "kpis.KpiDefinitionVersion": ("formula", "rewritten"),
    "kpis.KpiObservation": ("value", 1.0),
    "kpis.KpiReview": ("note", "rewritten"),
    "kpis.KpiRun": ("version", 99),
    "kpis.PackInstall": ("pack", "rewritten"),
    "kpis.ParkedFact": ("text", "rewritten"),
    "kpis.Report": ("content_sha256", "rewritten"),
}


@pytest.fixture
def history(db: None) -> None:
    """At least one row in every ledger."""
    mim = UserFactory(role="mim")
    incident = actions.open_incident(title="x", severity="critical", stamp=stamp(mim))
    actions.post_update(incident, "hello", visibility="public", stamp=stamp(mim))
    actions.draft_summary(incident, "x", origin="rules", stamp=stamp(mim))
    actions.cut_milestone(incident, title="News", body="x", next_update_eta=EVENING, stamp=stamp(mim))
    actions.confirm_read(incident, stamp=stamp(mim))
    promised = actions.cut_milestone(
        incident, title="Old", body="x", next_update_eta=at("12:10"), stamp=stamp(mim),
        entries=list(incident.timeline.values_list("pk", flat=True))[:1],
    )  # fmt: skip
    actions.move_promise(incident, at("12:09"), reason="original", stamp=stamp(mim, at("12:01")))
    assert promised.sources.count() == len(promise_alerts.alert_overdue(at("12:59"))) == 1
    actions.assign_role(incident, "mim", user=mim, stamp=stamp(mim))
    page = actions.page_team(incident, TeamFactory(), stamp=stamp(mim))
    delivery = Delivery.objects.create(page=page, call=1, address="json://.../...", queued_at=NOON, next_try_at=NOON)
    Notice.objects.create(event="message", text="x", happened_at=NOON, created_at=NOON)
    DeliveryAttempt.objects.create(delivery=delivery, number=1, tried_at=NOON, was_sent=False, error="no answer")
    actions.record_arrival(incident, page, stamp=stamp(mim, at("12:05")))
    backfill(KpiDefinition.objects.get(slug="team-page-to-bridge"), as_of=at("2026-03-03T00:00"))
    mark_reviewed(KpiDefinition.objects.get(slug="mttr"), Editor(mim, NOON), note="Read it.")
    setting = CreditSetting(**credit_settings.values_in(DEFAULT) | {"z": 1.645, "reason": "original"})
    credit_settings.change(setting, Editor(mim, NOON))
    AuditEvent.objects.create(at=NOON, action="export", reason="original")
    AlertEvent.objects.create(
        rule=AlertRule.objects.order_by("pk")[0], rule_version=1, kind="firing", at=NOON, recorded_at=NOON,
        condition="< 1", note="original",
    )  # fmt: skip
    making.make(Kind.DAILY, now=NOON)
    personal.grant(PersonalGrant(person=mim, reason="original"), Editor(None, NOON))
    record_facts()
    PackInstall.objects.create(pack="success-tracker", started_on=NOON, installed_at=NOON)
    record_learning(incident, mim)


def record_learning(incident: Incident, mim: User) -> None:
    """What comes after the incident, and the alert that came before it."""
    reader, done = UserFactory(), stamp(mim, at("13:00"))
    actions.confirm_read(incident, stamp=stamp(reader, at("12:10")))
    actions.resolve(incident, summary="It is over.", reason="drill", stamp=done)
    actions.answer_survey(incident, SurveyInvitation.objects.get(user=reader), 4, stamp=done, comment="original")
    follower = actions.open_incident(title="y", severity="low", stamp=stamp(mim))
    actions.link_incidents(follower, incident, kind="related", reason="original", stamp=done)
    actions.open_calendar(done)
    source = IntakeSource.objects.create(slug="pager", name="Pager", kind=SourceKind.MAPPED)
    inbox.receive(source, inbox.Delivery(b"{}"), now=NOON)


def record_facts() -> None:
    kind = kinds.Kind(key="deployed", description="x", fields={}, owner="x")
    kinds.define(kind, by=None, reason="original", now=NOON)
    ingest.append({"kind": "deployed", "occurredAt": "2026-03-02T10:00:00Z"}, source="test", now=NOON)
    decisions.record(decisions.Decided("ops", "seo.assignment.made", NOON), source="test", now=NOON)
    parked.park([parked.Waiting('{"kind": "unheard.of"}', "0")], source="test", now=NOON)


def plain(model: type[models.Model]) -> QuerySet[Any]:
    """A queryset of Django's own class: past the one that refuses by itself."""
    return QuerySet(model)


def table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def sql(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def prepared(model: type[models.Model], name: str, value: object) -> object:
    return model._meta.get_field(name).get_db_prep_save(value, connection)


def save(model: type[models.Model], row: Any, name: str, value: object) -> None:
    setattr(row, name, value)
    row.save()


def save_base(model: type[models.Model], row: Any, name: str, value: object) -> None:
    setattr(row, name, value)
    models.Model.save_base(row, force_update=True)


def update(model: type[models.Model], row: Any, name: str, value: object) -> None:
    plain(model).filter(pk=row.pk).update(**{name: value})


def bulk_update(model: type[models.Model], row: Any, name: str, value: object) -> None:
    setattr(row, name, value)
    plain(model).bulk_update([row], [name])


def update_or_create(model: type[models.Model], row: Any, name: str, value: object) -> None:
    plain(model).update_or_create(pk=row.pk, defaults={name: value})


def upsert(model: type[models.Model], row: Any, name: str, value: object) -> None:
    setattr(row, name, value)
    plain(model).bulk_create([row], update_conflicts=True, update_fields=[name], unique_fields=["id"])


def update_query(model: type[models.Model], row: Any, name: str, value: object) -> None:
    UpdateQuery(model).update_batch([row.pk], {name: value}, connection.alias)


def raw_update(model: type[models.Model], row: Any, name: str, value: object) -> None:
    column = connection.ops.quote_name(model._meta.get_field(name).column)
    sql(f"UPDATE {table(model)} SET {column} = %s", prepared(model, name, value))


def replace(model: type[models.Model], row: Any, name: str, value: object) -> None:
    """INSERT OR REPLACE deletes the old row without asking a trigger, unless they are recursive."""
    if connection.vendor == "postgresql":
        sql(f"INSERT INTO {table(model)} SELECT * FROM {table(model)} ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id")
        raw_update(model, row, name, value)
    else:
        sql(f"INSERT OR REPLACE INTO {table(model)} SELECT * FROM {table(model)}")


def delete(model: type[models.Model], row: Any, name: str, value: object) -> None:
    models.Model.delete(row)


def queryset_delete(model: type[models.Model], row: Any, name: str, value: object) -> None:
    plain(model).all()._raw_delete(connection.alias)


def delete_query(model: type[models.Model], row: Any, name: str, value: object) -> None:
    DeleteQuery(model).delete_batch([row.pk], connection.alias)


def raw_delete(model: type[models.Model], row: Any, name: str, value: object) -> None:
    sql(f"DELETE FROM {table(model)}")


def empty_table(model: type[models.Model], row: Any, name: str, value: object) -> None:
    if connection.vendor == "postgresql":
        sql(f"TRUNCATE {table(model)} CASCADE")
    else:
        sql(f"DELETE FROM {table(model)} WHERE 1")


Attack = Callable[[type[models.Model], Any, str, object], None]
ATTACKS: list[Attack] = [
    save, save_base, update, bulk_update, update_or_create, upsert, update_query, raw_update, replace,
    delete, queryset_delete, delete_query, raw_delete, empty_table,
]  # fmt: skip


def stored(model: type[models.Model]) -> list[tuple[object, ...]]:
    return sorted(plain(model).values_list(), key=repr)


def is_refused(attack: Attack, model: type[models.Model]) -> bool:
    try:
        with transaction.atomic():
            attack(model, plain(model).first(), *FROZEN[model._meta.label])
    except REFUSED:
        return True
    return False


def test_these_are_the_ledgers() -> None:
    assert {model._meta.label for model in ledger.ledgers()} == set(FROZEN)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("model", ledger.ledgers(), ids=lambda model: model.__name__)
def test_no_attack_changes_a_row(model: type[models.Model]) -> None:
    before = stored(model)
    assert before
    for attack in ATTACKS:
        assert is_refused(attack, model), attack.__name__
        assert stored(model) == before, attack.__name__


@pytest.mark.usefixtures("history")
def test_a_cascade_from_the_owner_does_not_reach_history() -> None:
    def delete_the_owner() -> None:
        sql("DELETE FROM incidents")
        connection.check_constraints()

    with pytest.raises(REFUSED), transaction.atomic():
        delete_the_owner()
    assert Incident.objects.exists()


@pytest.mark.usefixtures("history")
def test_answers_to_a_page_are_set_once() -> None:
    page = TeamPage.objects.get()
    plain(TeamPage).filter(pk=page.pk).update(acknowledged_at=at("12:04"))
    for change in ({"acknowledged_at": at("12:03")}, {"acknowledged_at": None}, {"arrived_at": at("12:04")}):
        with pytest.raises(DatabaseError), transaction.atomic():
            plain(TeamPage).filter(pk=page.pk).update(**change)


@pytest.mark.usefixtures("history")
def test_a_void_page_stays_void() -> None:
    page, event = TeamPage.objects.get(), TimelineEvent.objects.first()
    plain(TeamPage).filter(pk=page.pk).update(voided_at=at("12:06"), voided_by_event=event)
    for change in ({"voided_at": None, "voided_by_event": None}, {"voided_at": at("12:07")}, {"replaces": page}):
        with pytest.raises(DatabaseError), transaction.atomic():
            plain(TeamPage).filter(pk=page.pk).update(**change)


@pytest.mark.usefixtures("history")
def test_an_observation_may_stop_being_current_and_nothing_else() -> None:
    plain(KpiObservation).update(is_current=False)
    with pytest.raises(DatabaseError), transaction.atomic():
        plain(KpiObservation).update(reason="rewritten")


@pytest.mark.usefixtures("history")
def test_the_switch_opens_for_its_block_only() -> None:
    with ledger.unlocked(connection):
        raw_update(TimelineEvent, None, "title", "erased")
    assert set(plain(TimelineEvent).values_list("title", flat=True)) == {"erased"}
    with pytest.raises(DatabaseError), transaction.atomic():
        raw_update(TimelineEvent, None, "title", "again")


def test_a_missing_guard_is_named_and_put_back() -> None:
    victim = ledger.missing_guards(connection) or sorted(name for _, name in ledger.installed(connection))[0]
    on = next(on for on, name in ledger.installed(connection) if name == victim)
    suffix = f" ON {on}" if connection.vendor == "postgresql" else ""
    sql(f'DROP TRIGGER "{victim}"{suffix}')
    assert ledger.missing_guards(connection) == [victim]
    ledger.install(connection)
    assert ledger.missing_guards(connection) == []


@pytest.mark.django_db(transaction=True)
def test_a_rebuilt_table_gets_its_guards_back() -> None:
    """SQLite loses them with the table that Django replaces; PostgreSQL keeps them. Either way they stand again."""
    column = models.CharField(max_length=5, default="x", db_default="x")
    column.set_attributes_from_name("passing")
    column.model = TimelineEvent
    with connection.schema_editor() as editor:
        editor.add_field(TimelineEvent, column)
    lost = ledger.missing_guards(connection)
    ledger.install(connection)
    still_missing = ledger.missing_guards(connection)
    with connection.schema_editor() as editor:
        editor.remove_field(TimelineEvent, column)
    ledger.install(connection)
    assert (bool(lost), still_missing) == (connection.vendor == "sqlite", [])


def test_the_system_check_names_a_missing_guard() -> None:
    on, victim = sorted(ledger.installed(connection))[0]
    sql(f'DROP TRIGGER "{victim}"' + (f" ON {on}" if connection.vendor == "postgresql" else ""))
    with pytest.raises(Exception, match=victim):
        call_command("check", databases=["default"])
