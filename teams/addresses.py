"""Addresses that a page can be sent to: one URL each, of the kinds that Apprise knows."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

#: They would ring on the server itself.
OF_THIS_MACHINE = {"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
#: They send from a thread of their own, where the guard of majorops/lib/outgoing.py does not see where they lead.
IN_THE_BACKGROUND = {"mqtt", "mqtts", "xmpp", "xmpps"}
#: The host of these is the address of a program, not a key.
WEB_HOOKS = {"json", "jsons", "form", "forms", "xml", "xmls"}
MAX_URLS = 10
_SCHEME = re.compile(r"[a-z0-9]{2,20}(?=://)", re.IGNORECASE)


def addresses(text: str) -> list[str]:
    """The addresses of a team, one per line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_urls(text: str) -> None:
    """Raises ValidationError that names the line, never the address: it may hold a secret."""
    found = addresses(text)
    if len(found) > MAX_URLS:
        raise ValidationError(f"A team has at most {MAX_URLS} addresses; these are {len(found)}.")
    for number, url in enumerate(found, start=1):
        if told := _wrong(url):
            raise ValidationError(f"Address {number}: {told}")


def _wrong(url: str) -> str:
    from apprise import Apprise  # a second to import, and few processes send

    scheme = scheme_of(url)
    if scheme in OF_THIS_MACHINE:
        return f"{scheme}:// rings on the server, where nobody sits."
    if scheme in IN_THE_BACKGROUND:
        return f"{scheme}:// works in the background, where nobody sees if it leads into a private network."
    if not scheme or len(url) > 1_000 or not url.isprintable() or Apprise.instantiate(url) is None:
        return "it is no address that pages can be sent to, such as slack://TokenA/TokenB/TokenC or jsons://host/path."
    return ""


def scheme_of(url: str) -> str:
    """`slack` of slack://...; empty where there is none."""
    found = _SCHEME.match(url)
    return found[0].lower() if found else ""


def masked(url: str) -> str:
    """The address without what may be secret in it: its kind, and the host where the kind is a plain web hook."""
    scheme = scheme_of(url)
    host = urlsplit(url).hostname if scheme in WEB_HOOKS else None
    return f"{scheme}://{host or '...'}/..."


def told_apart(url: str) -> str:
    """Masked, with a mark that tells it from others of its kind: what a form shows, and takes back unchanged."""
    return f"{masked(url)}#{fingerprint(url)[:8]}"


def unmasked(text: str, stored: str) -> str:
    """The addresses of a form, each masked line as the stored address that it stands for."""
    known = {told_apart(url): url for url in addresses(stored)}
    return "\n".join(known.get(line, line) for line in addresses(text))


def fingerprint(url: str) -> str:
    """Tells addresses apart without keeping them."""
    return hashlib.sha256(url.encode()).hexdigest()
