"""Teams that another system called, in as few statements as it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from incidents.clock import check_happened
from incidents.lifecycle import EventType, Verb, Visibility
from incidents.models import ArrivalSource, Incident, Source, TeamPage, TimelineEvent
from incidents.past import PastDispatch, PastIncident

#: The answers of a dispatch, with the word for each in the log.
ANSWERS = {
    "acknowledged_at": (Verb.ACKNOWLEDGED, "acknowledged"),
    "arrived_at": (Verb.ARRIVED, "arrived"),
    "cancelled_at": (Verb.STOOD_DOWN, "stood down"),
}


def write(written: Iterable[tuple[Incident, PastIncident, Iterable[PastDispatch]]], now: datetime) -> None:
    """Dispatches that are not written yet, with their entries in the log."""
    pages = [
        (_page(incident, dispatch, now), dispatch.team_name, past.external_source)
        for incident, past, dispatches in written
        for dispatch in dispatches
    ]
    TeamPage.objects.bulk_create(page for page, _, _ in pages)
    TimelineEvent.objects.bulk_create(
        event for page, team, source in pages for event in _events(page, team, source, now)
    )


def append(incident: Incident, past: PastIncident, now: datetime) -> int:
    """Dispatches that the source has added, or has answers of, since; how many. What is known here stays."""
    if not past.dispatches:
        return 0
    known = {(page.team_id, page.paged_at): page for page in TeamPage.with_voided.filter(incident=incident)}
    fresh = [one for one in past.dispatches if (one.team_id, one.paged_at) not in known]
    write([(incident, past, fresh)], now)
    again = [(known[key], one) for one in past.dispatches if (key := (one.team_id, one.paged_at)) in known]
    return len(fresh) + sum(_answer(page, one, past.external_source, now) for page, one in again)


def with_nothing_new(pasts: Sequence[tuple[str, PastIncident]]) -> set[str]:
    """Of incidents (by id) those whose dispatches are all known, with every answer. One query for all of them."""
    pages: dict[str, dict[tuple[str, datetime], TeamPage]] = defaultdict(dict)
    for page in TeamPage.with_voided.filter(incident__in=[pk for pk, _ in pasts]):
        pages[page.incident_id][page.team_id, page.paged_at] = page
    return {
        pk
        for pk, past in pasts
        if all(
            (known := pages[pk].get((one.team_id, one.paged_at))) is not None and not _news(known, one)
            for one in past.dispatches
        )
    }


def _news(page: TeamPage, dispatch: PastDispatch) -> dict[str, datetime]:
    """The answers that the source knows and that are missing here. A void dispatch is left alone."""
    if page.voided_at:
        return {}
    news = {name: at for name in ANSWERS if (at := getattr(dispatch, name)) and getattr(page, name) is None}
    if page.arrived_at or page.cancelled_at:  # it came, or was sent home: the other cannot be true as well
        news = {name: at for name, at in news.items() if name == "acknowledged_at"}
    return news


def _answer(page: TeamPage, dispatch: PastDispatch, source: str, now: datetime) -> bool:
    """Whether the source knew an answer that is missing here."""
    news = _news(page, dispatch)
    if not news:
        return False
    for name, at in news.items():
        check_happened(at, now, field=name)
    extra = {"arrival_source": ArrivalSource.OBSERVED, "arrival_recorded_at": now} if "arrived_at" in news else {}
    TeamPage.objects.filter(pk=page.pk).update(**news, **extra)
    TimelineEvent.objects.bulk_create(
        _event(page, ANSWERS[name], dispatch.team_name, at=at, source=source, now=now) for name, at in news.items()
    )
    return True


def _page(incident: Incident, dispatch: PastDispatch, now: datetime) -> TeamPage:
    check_happened(dispatch.paged_at, now, field="paged_at")
    for name in ANSWERS:
        if at := getattr(dispatch, name):
            check_happened(at, now, field=name)
    return TeamPage(
        incident=incident,
        team_id=dispatch.team_id,
        alarm_level=dispatch.alarm_level,
        paged_at=dispatch.paged_at,
        acknowledged_at=dispatch.acknowledged_at,
        arrived_at=dispatch.arrived_at,
        arrival_source=ArrivalSource.OBSERVED if dispatch.arrived_at else None,
        arrival_recorded_at=now if dispatch.arrived_at else None,
        cancelled_at=dispatch.cancelled_at,
        recorded_at=now,
    )


def _events(page: TeamPage, team: str, source: str, now: datetime) -> Iterator[TimelineEvent]:
    level = f"paged at {page.get_alarm_level_display()}" if page.alarm_level else "paged"
    yield _event(page, (Verb.PAGED, level), team, at=page.paged_at, source=source, now=now)
    for name, said in ANSWERS.items():
        if at := getattr(page, name):
            yield _event(page, said, team, at=at, source=source, now=now)


def _event(
    page: TeamPage, said: tuple[Verb, str], team: str, *, at: datetime, source: str, now: datetime
) -> TimelineEvent:
    """An entry in the log, as `log` writes it, not saved yet."""
    verb, words = said
    return TimelineEvent(
        incident_id=page.incident_id,
        verb=verb,
        type=EventType.COMMAND,
        title=f"{team} {words} (imported)",
        actor=source,
        occurred_at=at,
        recorded_at=now,
        visibility=Visibility.INTERNAL,
        source=Source.IMPORT,
        page=page,
    )
