"""What a team is sent when it is called, and sending it to one address of the team. The outbox decides when."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import unquote

from django.conf import settings

from incidents.lifecycle import Kind, Severity
from incidents.models import TeamPage
from majorops.lib.outgoing import NotSent, only_public

#: Sends a title and a text to an address; raises with words for people if it cannot.
Send = Callable[[str, str, str], None]


def message(page: TeamPage) -> tuple[str, str]:
    """Title and text: severity, what it is, where to go. Nothing internal, and of a restricted incident no title."""
    incident = page.incident
    what = "a restricted incident" if incident.restricted else incident.title
    kind = "" if incident.kind == Kind.REAL else f"{Kind(incident.kind).label.upper()}: "
    again = f" (call {page.page_count})" if page.page_count > 1 else ""
    lines = [f"{page.team.name} is called{again}: {what}"]
    if incident.bridge_url and not incident.restricted:
        lines.append(f"Bridge: {incident.bridge_url}")
    if base := settings.MAJOROPS_PUBLIC_URL.rstrip("/"):
        lines.append(f"Say that you are here: {base}/r/{incident.pk}")
    return f"{kind}{Severity(incident.severity).label}: {what}", "\n".join(lines)


def is_awaited(page: TeamPage) -> bool:
    """Whether the call still makes sense: nobody has answered, and the incident goes on."""
    is_answered = page.acknowledged_at or page.arrived_at or page.cancelled_at or page.voided_at
    return not is_answered and page.incident.is_open


def send(url: str, title: str, body: str) -> None:
    """One notification to one address. Raises NotSent or AddressRefused."""
    from apprise import Apprise, AppriseAsset, LogCapture, NotifyFormat

    # Either setting alone would have it send from a thread of its own, which is not guarded.
    target = Apprise(asset=AppriseAsset(async_mode=False, service_timeout=0))
    if not target.add(url):
        raise NotSent("It is no address that pages can be sent to.")
    with LogCapture(level=logging.WARNING, fmt="%(message)s") as said:
        if settings.MAJOROPS_PAGES_TO_PRIVATE:
            was_sent = target.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        else:
            with only_public():
                was_sent = target.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        words = said.getvalue()
    if not was_sent:
        raise NotSent(_why(words, url))


def _why(words: str, url: str) -> str:
    """The first line that the library said, without any part of the address that may be secret."""
    line = next((part.strip() for part in words.splitlines() if part.strip()), "The other side did not answer.")
    for part in sorted({*url.replace("?", "/").replace("&", "/").replace("@", "/").replace(":", "/").split("/")}):
        for spelling in {part, unquote(part)}:
            if len(spelling) > 5:
                line = line.replace(spelling, "...")
    return " ".join(line.split())
