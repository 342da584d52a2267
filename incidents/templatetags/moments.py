"""Times and durations as every page shows them: absolute with the zone, and how long ago beside it."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html

from incidents import words
from majorops.lib.times import iso

register = template.Library()

#: The shapes of a running time; the script that lets them tick knows the same.
SHAPES = {"clock": words.clock, "short": words.short, "span": words.span}

register.filter("clock", words.clock)
register.filter("short", words.short)
register.filter("span", words.span)
register.filter("number", words.number)
register.filter("ago", words.ago)


@register.simple_tag
def moment(at: datetime | None, now: datetime | None = None) -> str:
    """`2 Mar 2026 14:26 UTC`, and `(2 min ago)` beside it where `now` is given."""
    if at is None:
        return words.UNKNOWN
    at = at.astimezone(UTC)
    shown = format_html('<time datetime="{}">{} UTC</time>', iso(at), f"{at.day} {at:%b %Y %H:%M}")
    return shown if now is None else format_html('{} <span class="muted">({})</span>', shown, words.ago(at, now))


@register.simple_tag
def time_of_day(at: datetime) -> str:
    """`14:26:11`, for rows under a heading that names the day and the zone; the whole time is in the title."""
    at = at.astimezone(UTC)
    full = f"{at:%a} {at.day} {at:%b %Y %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', iso(at), full, f"{at:%H:%M:%S}")


@register.simple_tag
def instant(at: datetime) -> str:
    """`2026-03-02T14:26:11.000Z`, for scripts."""
    return str(iso(at))


@register.simple_tag
def running(since: datetime, now: datetime, shape: str = "clock") -> str:
    """How long it has been going on; a script lets it tick. `shape` is clock, short or span."""
    return _ticking("since", since, SHAPES[shape](now - since), shape)


@register.simple_tag
def remaining(until: datetime, now: datetime, shape: str = "span") -> str:
    """How long until then; a script lets it tick."""
    return _ticking("until", until, SHAPES[shape](until - now), shape)


@register.simple_tag
def hour(at: datetime, now: datetime) -> str:
    """`14:30 UTC`, with the day where it is not today; the reader's own zone if they chose it."""
    return format_html('<time datetime="{}" data-hour>{}</time>', iso(at), words.hour(at, now))


def _ticking(direction: str, at: datetime, text: str, shape: str) -> str:
    return format_html('<time datetime="{}" data-tick="{}" data-as="{}">{}</time>', iso(at), direction, shape, text)
