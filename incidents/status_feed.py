"""The status as an Atom feed: one entry for each public update, with an id that stays."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import linebreaks

from incidents.status_door import base_of, status_door
from incidents.status_rules import PublicIncident, Word
from incidents.status_snapshot import Reading

#: The newest updates of all incidents.
ENTRIES = 50


class StatusFeed(Atom1Feed):
    """`updated` of the feed is when what is public last changed, also where there is no entry yet."""

    def latest_post_date(self) -> datetime:
        updated: datetime = self.feed["updated_at"]
        return updated


@status_door
def feed(request: HttpRequest, reading: Reading) -> HttpResponse:
    base = base_of(request)
    address = base + reverse("status:feed")
    name = settings.MAJOROPS_STATUS_NAME
    told = StatusFeed(
        title=f"{name} status",
        link=base + reverse("status:overview"),
        description=_age(reading),
        feed_url=address,
        feed_guid=address,
        author_name=name,
        updated_at=reading.updated_at,
    )
    said = [(word, incident) for incident in reading.board.incidents for word in incident.said]
    for word, incident in sorted(said, key=lambda pair: pair[0].said_at, reverse=True)[:ENTRIES]:
        _add(told, word, incident, base + reverse("status:incident", args=[incident.id]))
    return HttpResponse(told.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8")


def _age(reading: Reading) -> str:
    if not reading.is_stale:
        return "Every public update, as it is posted."
    return f"As of {reading.snapshot.checked_at:%Y-%m-%d %H:%M} UTC. Newer updates cannot be read at the moment."


def _add(told: StatusFeed, word: Word, incident: PublicIncident, address: str) -> None:
    told.add_item(
        title=f"{incident.name}: {word.title or word.state.value.capitalize()}",
        link=f"{address}#u-{word.id}",
        description=linebreaks(word.body, autoescape=True),
        unique_id=UUID(hex=word.id).urn,
        pubdate=word.said_at,
        updateddate=word.said_at,
        categories=(word.state.value,),
    )
