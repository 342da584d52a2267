"""An answer that is used again is, for each of its readers, what would be written anew for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.principals import Principal
from incidents import answers, reading
from incidents.lifecycle import Visibility
from incidents.models import Incident, Participant
from majorops.lib.rest import JSONRenderer
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, StatusUpdateFactory, TimelineEventFactory, UserFactory
from tests.incidents.test_reading import Dice, any_incident, everybody, people  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    answers.forget_all()
    yield
    answers.forget_all()


def told(viewer: Principal, incident: str) -> tuple[str, bytes] | None:
    answer = answers.answer_for(viewer, incident)
    return answer and (answer.tag, answers.body_of(answer, viewer))


def anew(viewer: Principal, incident: str) -> tuple[str, bytes] | None:
    row = reading.incident_row(viewer, incident)
    if row is None:
        return None
    answers.forget_all()
    answer = answers.answer_for(viewer, incident)
    assert answer is not None
    return answer.tag, JSONRenderer().render(reading.in_full(row, viewer))


@pytest.mark.parametrize("seed", range(3))
def test_whoever_asks_in_whatever_order_gets_what_would_be_written_for_them(people: list[User], seed: int) -> None:  # noqa: F811
    dice = Dice(seed)
    for _ in range(3):
        any_incident(dice, people)
    incidents = list(Incident.objects.values_list("pk", flat=True))
    asked = [(viewer, incident) for viewer in everybody(people) for incident in incidents]
    dice.shuffle(asked)
    for _ in range(2):
        found = [told(viewer, incident) for viewer, incident in asked]
        assert found == [told(viewer, incident) for viewer, incident in asked]  # now from what is kept
        assert found == [anew(viewer, incident) for viewer, incident in asked]
        for incident in incidents:  # then something happens
            TimelineEventFactory(incident_id=incident, visibility=dice.choice([*Visibility.values, None]))
            StatusUpdateFactory(incident_id=incident, visibility=dice.choice(Visibility.values))
            Participant.objects.get_or_create(
                incident_id=incident, user=dice.choice(people), defaults={"created_at": NOON}
            )


def test_the_second_who_reads_the_same_costs_one_query(people: list[User]) -> None:  # noqa: F811
    incident = IncidentFactory()
    commander, other = (person for person in people if person.role == "mim")
    first = told(commander, incident.pk)
    with CaptureQueriesContext(connection) as asked:
        assert told(other, incident.pk) == first
    assert len(asked) == 1


def test_a_line_in_the_log_is_in_the_next_answer(client_as: Knock, mim: User) -> None:
    incident, client = IncidentFactory(), client_as(mim)
    address = f"/api/v1/incidents/{incident.pk}"
    assert client.get(address).json()["timeline"] == []
    client.post(f"{address}/timeline", {"title": "Pool exhausted"}, content_type="application/json")
    assert [line["title"] for line in client.get(address).json()["timeline"]] == ["Pool exhausted"]


def test_what_is_erased_from_a_ledger_is_gone_a_minute_later(mim: User) -> None:
    incident = IncidentFactory()
    told(mim, incident.pk)
    (kept,) = answers._kept.values()
    kept.body, kept.made_at = b"erased since", kept.made_at - answers.KEPT_FOR
    assert told(mim, incident.pk) == anew(mim, incident.pk)


def test_a_process_keeps_only_so_many_bytes(mim: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ROOM", 3000)
    incidents = [IncidentFactory(description="x" * 500) for _ in range(5)]
    for incident in incidents:
        told(mim, incident.pk)
    assert sum(len(kept.body or b"") for kept in answers._kept.values()) <= 3000
    assert incidents[-1].pk in {key[0] for key in answers._kept}


def test_who_is_no_longer_let_in_gets_nothing_of_what_is_kept(client_as: Knock) -> None:
    named, incident = UserFactory(), IncidentFactory(restricted=True)
    part = Participant.objects.create(incident=incident, user=named, created_at=NOON)
    address = f"/api/v1/incidents/{incident.pk}"
    assert client_as(named).get(address).status_code == 200
    Participant.objects.filter(pk=part.pk).delete()
    assert client_as(named).get(address).status_code == 404
