"""The quick way to list and detail shows, byte for byte, what the serializers say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.principals import Principal, Service
from accounts.roles import Can, Role
from accounts.scopes import Scope
from incidents import reading
from incidents.api import ByDetection
from incidents.door import MARKS
from incidents.lifecycle import ExternalImpact, Kind, RiskLevel, Severity, Verb, Visibility
from incidents.models import (
    Incident,
    Milestone,
    MilestoneSource,
    Participant,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from incidents.serializers import IncidentDetail, IncidentShown
from incidents.viewing import incidents_for, with_marks
from majorops.lib.paging import Window
from teams.models import Membership
from tests.cast import Knock
from tests.factories import (
    NOON,
    IncidentFactory,
    StatusUpdateFactory,
    TeamFactory,
    TeamPageFactory,
    TimelineEventFactory,
    UserFactory,
    at,
)

ALL = Window(ByDetection.ordering, limit=200)
TEXTS = ["", "plain", "=1+1", '"quoted" \\ </script>', "Zoë 漢字 🔥\u2028", "\x7f", "line\nline"]


class Dice(random.Random):
    def maybe(self, *values: Any) -> Any:
        return self.choice([None, *values])

    def person(self, people: list[User]) -> User | None:
        chosen: User | None = self.maybe(*people)
        return chosen


def any_incident(dice: Dice, people: list[User]) -> Incident:
    """An incident with anything in any column, and a history."""
    texts = ("description", "business_impact", "customer_impact_summary", "exec_summary", "decision_asked")
    texts += ("audience_notes", "sre", "public_title", "alert_source")
    times = ("issue_time", "resolve_time", "next_update_eta", "last_communicated_at")
    incident = IncidentFactory(
        **{name: dice.choice(TEXTS) for name in texts},
        **{name: dice.maybe(at("12:34"), NOON.replace(microsecond=987_000)) for name in times},
        **{name: dice.person(people) for name in reading.PEOPLE},
        title=dice.choice(TEXTS[1:]),
        kind=dice.choice(Kind.values),
        severity=dice.choice(Severity.values),
        external_impact=dice.choice(ExternalImpact.values),
        risk_level=dice.choice(RiskLevel.values),
        phase=dice.randint(1, 7),
        affected_systems=dice.choice([[], ["a", "ü"], ["=cmd"]]),
        bridge_url=dice.maybe("", "https://meet.example.com/1"),
        alert_id=dice.maybe("", "Q1"),
        dedup_key=dice.maybe(str(dice.random())),
        customer_count=dice.maybe(0, 2**31 - 1),
        metadata=dice.maybe({"deep": [1]}),
        restricted=dice.random() < 0.2,
        publish_status=dice.random() < 0.5,
        version=dice.randint(1, 99),
    )
    any_history(dice, incident, people)
    return incident


def any_history(dice: Dice, incident: Incident, people: list[User]) -> None:
    entries: list[TimelineEvent] = []
    for _ in range(dice.randint(0, 8)):
        entries.append(
            TimelineEventFactory(
                incident=incident,
                title=dice.choice(TEXTS[1:]),
                description=dice.choice(TEXTS),
                occurred_at=at(f"12:{dice.randint(10, 12)}"),
                visibility=dice.maybe(*Visibility.values),
                phase_number=dice.maybe(1, 8),
                corrects=dice.maybe(*entries),
                undoes=entries[-1] if entries and dice.random() < 0.2 else None,
                verb=dice.choice(["", *Verb.values]),
                changes=dice.maybe({"description": ["a", "b"]}, {"title": ["a", "b"], "exec_summary": [None, "x"]}, {}),
            )
        )
    for _ in range(dice.randint(0, 3)):
        StatusUpdateFactory(
            incident=incident, content=dice.choice(TEXTS[1:]), visibility=dice.choice(Visibility.values)
        )
    for n in range(dice.randint(0, 3)):
        milestone = Milestone.objects.create(
            incident=incident, sequence=n + 1, title="T", body=dice.choice(TEXTS), status_at_cut="active",
            cut_by_name="R. Okafor", created_at=NOON, next_update_eta=dice.maybe(at("13:00")),
            is_resolution=dice.random() < 0.5,
        )  # fmt: skip
        chosen = dice.sample(entries, dice.randint(0, len(entries)))
        for position, entry in enumerate(chosen):
            MilestoneSource.objects.create(milestone=milestone, entry=entry, position=position)
    if dice.random() < 0.5:
        Participant.objects.create(incident=incident, user=dice.choice(people), created_at=NOON)
    if dice.random() < 0.5:
        page = TeamPageFactory(incident=incident)
        Membership.objects.create(team=page.team, user=dice.choice(people))


def everybody(people: list[User]) -> list[Principal]:
    """Each person, and programs of each scope and of all, as far as the door opens for them."""
    programs = [Service("1", "bot", frozenset({scope})) for scope in Scope]
    return [viewer for viewer in (*people, *programs, ALL_SCOPES) if viewer.can(Can.READ_INCIDENTS)]


ALL_SCOPES = Service("1", "bot", frozenset(Scope))


@pytest.fixture
def people(db: None) -> list[User]:
    """Two of every role: what is compiled for the one is asked by the other. One has no name."""
    named = [UserFactory(role=role) for role in [*Role.values, *Role.values]]
    return [*named, UserFactory(role=Role.STAKEHOLDER, display_name="")]


def by_the_book(serializer: Any, incident: Incident, viewer: Principal) -> Any:
    return serializer(incident, context={"request": SimpleNamespace(user=viewer)}).data


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_shown_as_the_serializers_say(people: list[User], seed: int) -> None:
    dice = Dice(seed)
    for _ in range(4):
        any_incident(dice, people)
    for viewer in everybody(people):
        told = list(with_marks(incidents_for(viewer), viewer).order_by(*ByDetection.ordering))
        rows = reading.incident_rows(viewer, {}, ALL)
        listed = [by_the_book(IncidentShown, incident, viewer) for incident in told]
        assert orjson.dumps([reading.listed(row, viewer) for row in rows]) == orjson.dumps(listed)
        for incident in told:
            row = reading.incident_row(viewer, incident.pk)
            assert row is not None
            assert [row[name] for name in MARKS] == [getattr(incident, name) for name in MARKS]
            detail = by_the_book(IncidentDetail, incident, viewer)
            assert orjson.dumps(reading.in_full(row, viewer)) == orjson.dumps(detail)


def test_what_does_not_exist_for_a_viewer_has_no_row(people: list[User]) -> None:
    hidden = IncidentFactory(restricted=True)
    seen_by = {viewer.role for viewer in people if reading.incident_row(viewer, hidden.pk)}
    assert seen_by == {viewer.role for viewer in people if incidents_for(viewer).filter(pk=hidden.pk).exists()}
    assert reading.incident_row(ALL_SCOPES, hidden.pk) is None


def test_what_is_compiled_for_one_is_filled_in_for_another(client_as: Knock, people: list[User]) -> None:
    """Two engineers of one role, of whom one was called: the second is not taken for the first."""
    called, other = (person for person in people if person.role == Role.STAKEHOLDER and person.display_name)
    incident = IncidentFactory(description="INTERNAL")
    TimelineEventFactory(incident=incident, title="INTERNAL")
    Participant.objects.create(incident=incident, user=called, created_at=NOON)
    for person in (called, other, called):
        told = b"INTERNAL" in client_as(person).get(f"/api/v1/incidents/{incident.pk}").content
        assert told == (person == called)


def test_second_page_and_filters_are_compiled_apart(client_as: Knock, people: list[User]) -> None:
    for n in range(5):
        IncidentFactory(title=f"Odd {n}" if n % 2 else f"Even {n}")
    client = client_as(people[0])

    def titles(query: str) -> list[str]:
        return [row["title"] for row in client.get(f"/api/v1/incidents?{query}").json()["results"]]

    assert titles("q=odd") == ["Odd 3", "Odd 1"]
    assert titles("q=even") == ["Even 4", "Even 2", "Even 0"]
    assert titles("q=even&limit=2") == ["Even 4", "Even 2"]


# --- What the database does for it ---


@pytest.fixture
def many(people: list[User]) -> Incident:
    """A few thousand rows of every child table, one incident of them the newest."""
    incidents = Incident.objects.bulk_create(
        Incident(title=f"{n}", severity="high", detected_at=NOON, phase_entered_at=NOON) for n in range(500)
    )
    teams = TeamFactory.create_batch(40)
    Membership.objects.bulk_create(Membership(team=team, user=people[-1]) for team in teams)
    lines = {"title": "x", "type": "action", "actor": "A", "occurred_at": NOON}
    for model, times, fields in (
        (TimelineEvent, 20, lines),
        (StatusUpdate, 5, {"content": "x", "visibility": "public", "author_name": "A", "created_at": NOON}),
        (Participant, 1, {"user": people[-1], "created_at": NOON}),
    ):
        model._default_manager.bulk_create(
            model(incident=incident, **fields) for incident in incidents for _ in range(times)
        )
    TeamPage.objects.bulk_create(
        TeamPage(incident=incident, team=teams[(n + k) % 40], alarm_level="box3", paged_at=NOON)
        for n, incident in enumerate(incidents)
        for k in range(8)
    )
    cut = {"title": "x", "body": "x", "status_at_cut": "active", "cut_by_name": "A", "created_at": NOON}
    milestones = Milestone.objects.bulk_create(
        Milestone(incident=incident, sequence=n, **cut) for incident in incidents for n in range(1, 6)
    )
    entries = TimelineEvent.objects.order_by("id")[: len(milestones)]
    MilestoneSource.objects.bulk_create(
        MilestoneSource(milestone=milestone, entry=entry, position=0)
        for milestone, entry in zip(milestones, entries, strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return incidents[0]


CHILDREN = {"timeline_events", "status_updates", "milestones", "milestone_sources", "team_pages"}


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from one end to the other."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans of PostgreSQL")
def test_no_child_table_is_read_whole(client_as: Knock, people: list[User], many: Incident) -> None:
    with CaptureQueriesContext(connection) as asked:
        for role in (Role.MIM, Role.STAKEHOLDER, Role.EXECUTIVE):
            client = client_as(next(person for person in people if person.role == role))
            assert client.get("/api/v1/incidents").status_code == 200
            assert client.get(f"/api/v1/incidents/{many.pk}").status_code == 200
    selects = [query["sql"] for query in asked.captured_queries if query["sql"].startswith("SELECT")]
    assert len(selects) >= 15
    for sql in selects:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            ((plan,),) = cursor.fetchone()
        assert not CHILDREN & set(scanned(plan["Plan"]))
