"""Event streams, through a real server in another process: what one person does, the others see."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from incidents import actions
from incidents.models import Incident
from tests.factories import EVENING, IncidentFactory, stamp
from tests.serving import Ended, Event, Site, Stream, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[Site]:
    """One server for all tests of this file: it holds nothing between them."""
    with serving() as site:
        yield site


@pytest.fixture
def incident() -> Incident:
    return IncidentFactory.create()


def post(site: Site, person: User, incident: Incident, title: str) -> None:
    status, _ = site.ask(person, "POST", f"/api/v1/incidents/{incident.pk}/timeline", {"title": title})
    assert status == 201


def test_a_post_through_the_server_reaches_everyone_who_watches(site: Site, mim: User, incident: Incident) -> None:
    streams = [site.watch(mim, f"/incidents/{incident.pk}/live") for _ in range(3)]
    for stream in streams:
        stream.next()
    post(site, mim, incident, "Failover started")
    for stream in streams:
        assert "Failover started" in stream.next().data["blocks"]["log"]


def test_what_another_process_does_is_seen_too(site: Site, mim: User, incident: Incident) -> None:
    stream = site.watch(mim, f"/incidents/{incident.pk}/live")
    stream.next()
    actions.post_entry(incident, "Said on the command line", stamp=stamp(mim))
    assert "Said on the command line" in stream.next().data["blocks"]["log"]


def test_only_what_changed_is_sent(site: Site, mim: User, incident: Incident) -> None:
    stream = site.watch(mim, f"/incidents/{incident.pk}/live")
    first = stream.next()
    post(site, mim, incident, "one")
    stream.next()
    post(site, mim, incident, "two")
    told = stream.next()
    assert "log" in told.data["blocks"]
    assert set(told.data["blocks"]) < set(first.data["blocks"])


def test_a_stakeholder_hears_nothing_of_what_is_internal(
    site: Site, mim: User, stakeholder: User, incident: Incident
) -> None:
    stream = site.watch(stakeholder, f"/incidents/{incident.pk}/live")
    stream.next()
    post(site, mim, incident, "planted-secret")
    actions.cut_milestone(
        incident, title="We know what it is", body="It comes back.", next_update_eta=EVENING, stamp=stamp(mim)
    )
    told = stream.next()
    assert "We know what it is" in str(told.data)
    assert "planted-secret" not in str(told.data)


def test_who_comes_back_gets_what_they_missed_and_nothing_twice(site: Site, mim: User, incident: Incident) -> None:
    stream = site.watch(mim, f"/incidents/{incident.pk}/live")
    first = stream.next()
    site.stop(signal.SIGKILL)
    actions.post_entry(incident, "While the server was down", stamp=stamp(mim))
    site.start()
    back = site.watch(mim, f"/incidents/{incident.pk}/live", **{"Last-Event-ID": first.id})
    told = back.next()
    assert "While the server was down" in told.data["blocks"]["log"]
    same = site.watch(mim, f"/incidents/{incident.pk}/live", **{"Last-Event-ID": told.id})
    told_nothing = [same.next("beat"), same.next("beat")]
    assert {tuple(beat.data) for beat in told_nothing} == {("now",)}


@pytest.mark.parametrize("change", [{"role": "stakeholder"}, {"is_active": False}])
def test_a_demotion_ends_the_stream_before_another_event(
    site: Site, mim: User, executive: User, incident: Incident, change: dict[str, object]
) -> None:
    stream = site.watch(executive, f"/incidents/{incident.pk}/live")
    stream.next()
    User.objects.filter(pk=executive.pk).update(**change)
    actions.cut_milestone(incident, title="After the demotion", body="-", next_update_eta=EVENING, stamp=stamp(mim))
    with pytest.raises(Ended):
        stream.next()


def test_restricting_an_incident_ends_the_streams_of_those_who_may_not_know(
    site: Site, mim: User, stakeholder: User, incident: Incident
) -> None:
    stream = site.watch(stakeholder, f"/incidents/{incident.pk}/live")
    stream.next()
    actions.edit_incident(incident, {"restricted": True}, stamp=stamp(mim))
    with pytest.raises(Ended):
        stream.next()
    assert site.watch(stakeholder, f"/incidents/{incident.pk}/live").status == 404


def test_a_stream_for_nobody_is_refused_like_any_page(site: Site, incident: Incident) -> None:
    stranger = User(email="stranger@example.com")
    assert site.watch(stranger, f"/incidents/{incident.pk}/live").status == 403


def test_stopping_the_server_ends_the_streams_at_once(site: Site, mim: User, incident: Incident) -> None:
    streams = [site.watch(mim, f"/incidents/{incident.pk}/live") for _ in range(3)]
    for stream in streams:
        stream.next()
    site.stop(signal.SIGTERM)
    site.start()
    for stream in streams:
        with pytest.raises(Ended):  # not cut off: an orderly end, which it would not be after the five seconds of grace
            stream.next()


def test_a_snapshot_and_the_events_after_it_are_a_fresh_snapshot(
    site: Site, mim: User, stakeholder: User, executive: User, incident: Incident
) -> None:
    path = f"/incidents/{incident.pk}/live"
    people = [mim, stakeholder, executive]
    watched = [(person, site.watch(person, path)) for person in people]
    shown = []
    for _, stream in watched:
        shown.append(dict(stream.next().data["blocks"]))
    actions.advance_phase(incident, 2, stamp=stamp(mim))
    actions.edit_incident(incident, {"customer_impact_summary": "Checkout is slow"}, stamp=stamp(mim))
    actions.cut_milestone(incident, title="Last", body="word", next_update_eta=EVENING, stamp=stamp(mim))
    actions.post_entry(incident, "internal note", stamp=stamp(mim))
    for (person, stream), blocks in zip(watched, shown, strict=True):
        fresh = site.ask(person, "GET", path)[1]
        _follow(stream, blocks, to=fresh["standing"])
        assert _timeless(blocks) == _timeless(fresh["blocks"])


def _follow(stream: Stream, blocks: dict[str, str], *, to: str) -> None:
    """Puts what the stream tells in place, up to this standing."""
    told = stream.next()
    while blocks.update(told.data["blocks"]) or told.id != to:
        told = stream.next()


def _timeless(blocks: dict[str, str]) -> dict[str, str]:
    """Without numbers: running times move on between two looks, from 6,359.9 to 6,360 for instance."""
    return {name: re.sub(r"\d+(?:[.,]\d+)*", "", html) for name, html in blocks.items()}


def ahead(stream: Stream, write: Callable[[], object]) -> Event:
    """What comes ahead of an entry's blocks. It may be written just between the two looks, and come with the blocks at
    once; then another is written."""
    for _ in range(5):
        write()
        told = stream.next("entries", "blocks")
        if told.kind == "entries":
            return told
    raise AssertionError("nothing came ahead")


def test_a_new_entry_comes_ahead_of_the_blocks_that_show_it(site: Site, mim: User, incident: Incident) -> None:
    stream = site.watch(mim, f"/incidents/{incident.pk}/live")
    standing = stream.next().id
    first = ahead(stream, lambda: post(site, mim, incident, "Failover started"))
    (entry,) = first.data["entries"].values()
    assert "Failover started" in entry
    assert first.id == ""
    told = stream.next()
    assert entry in told.data["blocks"]["log"]
    assert told.id > standing


def test_what_belongs_further_down_the_log_does_not_come_ahead(site: Site, mim: User, incident: Incident) -> None:
    stream = site.watch(mim, f"/incidents/{incident.pk}/live")
    stream.next()
    post(site, mim, incident, "Seen first")
    stream.next()
    early = stamp(mim, timezone.now() - timedelta(hours=1), now=timezone.now())

    def write() -> None:
        actions.post_entry(incident, "Seen an hour earlier", stamp=early)
        post(site, mim, incident, "Seen now")

    assert "Seen an hour earlier" not in str(ahead(stream, write).data)


def test_nothing_internal_comes_ahead_either(site: Site, mim: User, stakeholder: User, incident: Incident) -> None:
    stream = site.watch(stakeholder, f"/incidents/{incident.pk}/live")
    stream.next()

    def write() -> None:
        post(site, mim, incident, "planted-secret")
        actions.post_update(incident, "It is being looked at.", visibility="public", stamp=stamp(mim, timezone.now()))

    told = str(ahead(stream, write).data)
    assert "It is being looked at" in told
    assert "planted-secret" not in told
