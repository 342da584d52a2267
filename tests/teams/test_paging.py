"""Pages that are sent: queued with the page, tried until they arrive, never in anybody's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from incidents import actions, outbox, paging
from incidents.lifecycle import Kind
from incidents.models import Delivery, DeliveryAttempt, DeliveryState, Incident, TeamPage
from majorops.lib.outgoing import AddressRefused, NotSent, is_public, only_public
from teams.addresses import check_urls, masked
from teams.models import Team
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, TeamFactory, stamp
from tests.teams.receiver import Receiver, receiver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sending(settings: Any) -> None:
    settings.MAJOROPS_SEND_PAGES = settings.MAJOROPS_PAGES_TO_PRIVATE = True
    settings.MAJOROPS_DELIVER_IN_PROCESS = False
    settings.MAJOROPS_PUBLIC_URL = "https://majorops.example.com/"


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def page(*urls: str, **incident: Any) -> TeamPage:
    """A team with these addresses is paged at noon."""
    team = TeamFactory(name="Database", notification_urls="\n".join(urls))
    return actions.page_team(IncidentFactory(title="Checkout fails", **incident), team, stamp=stamp())


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


# --- Queueing ---


def test_a_page_is_queued_for_each_address_and_sent_by_the_worker(phone: Receiver) -> None:
    page(phone.url, phone.url.replace("/hook", "/other"))
    assert (states(), phone.heard) == (["waiting", "waiting"], [])
    assert outbox.deliver_due(NOON).sent == 2
    assert (states(), len(phone.heard)) == (["sent", "sent"], 2)


def test_paging_from_the_command_page_does_not_send(mim: User, page_as: Knock, phone: Receiver) -> None:
    incident, team = IncidentFactory(), TeamFactory(notification_urls=phone.url)
    assert page_as(mim).post(f"/incidents/{incident.pk}/page", {"team": team.name}).status_code == 302
    assert (states(), phone.heard) == (["waiting"], [])


def test_a_second_call_is_sent_too(phone: Receiver) -> None:
    first = page(phone.url)
    outbox.deliver_due(NOON)
    actions.page_team(first.incident, first.team, stamp=stamp())
    outbox.deliver_due(NOON)
    assert "Database is called (call 2): Checkout fails" in phone.heard[1]["message"]


def test_nothing_is_queued_unless_sending_is_on(settings: Any, phone: Receiver) -> None:
    settings.MAJOROPS_SEND_PAGES = False
    page(phone.url)
    assert not Delivery.objects.exists()


def test_a_refused_page_queues_nothing(phone: Receiver) -> None:
    with pytest.raises(actions.dispatch.TeamNotDispatchable):
        actions.page_team(IncidentFactory(), TeamFactory(notification_urls=phone.url, is_active=False), stamp=stamp())
    assert not Delivery.objects.exists()


# --- What is sent ---


def test_the_message_says_what_and_where_and_nothing_internal(phone: Receiver) -> None:
    sent = page(phone.url, bridge_url="https://meet.example.com/abc", description="the DBA dropped the table")
    outbox.deliver_due(NOON)
    assert phone.heard[0]["title"] == "Critical: Checkout fails"
    assert phone.heard[0]["message"] == (
        "Database is called: Checkout fails\nBridge: https://meet.example.com/abc\n"
        f"Say that you are here: https://majorops.example.com/r/{sent.incident_id}"
    )


def test_a_restricted_incident_is_not_named(phone: Receiver) -> None:
    page(phone.url, restricted=True, bridge_url="https://meet.example.com/abc")
    outbox.deliver_due(NOON)
    assert phone.heard[0]["title"] == "Critical: a restricted incident"
    assert "Checkout" not in str(phone.heard)
    assert "meet.example.com" not in str(phone.heard)


def test_a_drill_says_so_first(phone: Receiver) -> None:
    page(phone.url, kind=Kind.DRILL)
    outbox.deliver_due(NOON)
    assert phone.heard[0]["title"].startswith("DRILL: ")


# --- Failing ---


def test_a_failure_is_tried_again_later_and_then_arrives() -> None:
    with receiver(500, 200) as phone:
        page(phone.url)
        outbox.deliver_due(NOON)
        assert states() == ["waiting"]
        assert outbox.deliver_due(NOON + timedelta(seconds=9)).sent == 0
        assert outbox.deliver_due(NOON + timedelta(seconds=10)).sent == 1
    assert [(one.number, one.was_sent) for one in DeliveryAttempt.objects.order_by("number")] == [(1, False), (2, True)]


def test_a_dead_receiver_is_given_up_after_four_tries_and_every_try_is_kept() -> None:
    with receiver() as phone:
        url = phone.url
    page(url)
    now = NOON
    for wait in (0, 10, 60, 300, 9_999):
        now += timedelta(seconds=wait)
        outbox.deliver_due(now)
    assert states() == ["failed"]
    tries = DeliveryAttempt.objects.order_by("number")
    assert [one.number for one in tries] == [1, 2, 3, 4]
    assert all(one.error and "secret-path" not in one.error for one in tries)


def test_a_worker_that_died_leaves_its_delivery_to_another(phone: Receiver) -> None:
    page(phone.url)

    def dies(url: str, title: str, body: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outbox.deliver_due(NOON, by=dies)
    assert outbox.deliver_due(NOON + timedelta(seconds=30)).sent == 0
    assert outbox.deliver_due(NOON + outbox.LEASE).sent == 1


def test_two_workers_send_once(phone: Receiver) -> None:
    page(phone.url)

    def meanwhile(url: str, title: str, body: str) -> None:
        assert outbox.deliver_due(NOON).sent == 0
        paging.send(url, title, body)

    outbox.deliver_due(NOON, by=meanwhile)
    assert len(phone.heard) == 1


@pytest.mark.parametrize("answer", ["acknowledged", "closed"])
def test_nobody_is_rung_out_of_bed_once_the_team_answered(phone: Receiver, answer: str) -> None:
    sent = page(phone.url)
    if answer == "acknowledged":
        actions.acknowledge_page(sent.incident, sent, stamp=stamp())
    else:
        actions.resolve(sent.incident, summary="It is over.", stamp=stamp())
    assert outbox.deliver_due(NOON).dropped == 1
    assert (states(), phone.heard) == (["dropped"], [])


def test_an_address_that_was_taken_away_is_not_used(phone: Receiver) -> None:
    sent = page(phone.url)
    Team.objects.filter(pk=sent.team_id).update(notification_urls="")
    outbox.deliver_due(NOON)
    assert phone.heard == []
    assert DeliveryAttempt.objects.get().error == "The address was taken off the team."


def test_what_was_sent_can_be_sent_again_and_keeps_its_history(phone: Receiver) -> None:
    page(phone.url)
    first = Delivery.objects.get()
    with pytest.raises(outbox.StillWaiting):
        outbox.redeliver(first, now=NOON)
    outbox.deliver_due(NOON)
    outbox.redeliver(first, now=NOON)
    assert outbox.deliver_due(NOON).sent == 1
    assert (states(), len(phone.heard)) == (["sent", "sent"], 2)


# --- Where it may lead ---

#: A connection that is refused leaves its socket to the garbage collector, which warns.
refuses = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@refuses
def test_a_private_address_is_refused_and_never_reached(settings: Any, phone: Receiver) -> None:
    settings.MAJOROPS_PAGES_TO_PRIVATE = False
    page(phone.url)
    outbox.deliver_due(NOON)
    assert phone.heard == []
    assert "private network" in DeliveryAttempt.objects.get().error


@refuses
@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_a_private_address_gets_through(settings: Any, phone: Receiver, host: str) -> None:
    settings.MAJOROPS_PAGES_TO_PRIVATE = False
    with pytest.raises((AddressRefused, NotSent)):
        paging.send(f"json://{host}:{phone.server_port}/?cto=1&rto=1", "title", "body")
    assert phone.heard == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "224.0.0.1", "::1", "fe80::1%1", "::",
        "fd00::1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "ff02::1",
        "0.0.0.1", "name",
    ],
)  # fmt: skip
def test_what_is_not_public(host: str) -> None:
    assert not is_public(host)


def test_what_is_public() -> None:
    assert is_public("8.8.8.8")
    assert is_public("2606:4700:4700::1111")


def test_the_guard_ends_where_it_ends(phone: Receiver) -> None:
    with only_public():
        pass
    paging.send(phone.url, "title", "body")
    assert len(phone.heard) == 1


@pytest.mark.parametrize(
    "url", ["nonsense", "https://", "syslog://", "dbus://", "exec://rm", "mqtt://hooks.example.com/topic", "x" * 2_000]
)
def test_an_address_that_cannot_be_is_refused_by_its_line_not_its_text(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_urls(f"json://hooks.example.com\n{url}")
    assert "Address 2:" in str(refused.value)


def test_addresses_are_shown_without_their_secrets() -> None:
    assert masked("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ") == "slack://.../..."
    assert masked("jsons://user:pass@hooks.example.com/token") == "jsons://hooks.example.com/..."


# --- The board ---


@pytest.mark.parametrize(
    ("answers", "word"), [((200,), "message sent"), ((500,), "sending message")], ids=["sent", "failing"]
)
def test_the_board_says_how_sending_stands(mim: User, page_as: Knock, answers: tuple[int, ...], word: str) -> None:
    with receiver(*answers) as phone:
        sent = page(phone.url)
        outbox.deliver_due(NOON)
    assert word in page_as(mim).get(f"/incidents/{sent.incident_id}/").content.decode()


def test_a_browser_hears_that_a_message_was_sent(mim: User, phone: Receiver) -> None:
    from incidents.live import state_for

    sent = page(phone.url)
    before = state_for(mim, sent.incident_id, NOON)
    outbox.deliver_due(NOON)
    after = state_for(mim, sent.incident_id, NOON)
    assert before
    assert after
    assert before.standing != after.standing


def test_an_incident_without_deliveries_says_nothing_of_them(mim: User, page_as: Knock) -> None:
    sent = page()
    assert Incident.objects.count() == 1
    assert DeliveryState.SENT.label not in page_as(mim).get(f"/incidents/{sent.incident_id}/").content.decode()
