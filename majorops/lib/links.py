"""RULES: links that people click at 3 am must lead where they seem to."""

from __future__ import annotations

from urllib.parse import urlsplit

from majorops.lib.errors import Invalid


def check_https(url: str, *, field: str) -> str:
    """An https link with a plain host name. Raises Invalid.

    Refused are user info (`https://meet.example@evil.example`), back slashes and control characters:
    browsers and people read them differently.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Invalid(f"{field} is not a link.", field=field) from None
    if parts.scheme != "https":
        raise Invalid(f"{field} must begin with https://.", field=field)
    odd = any(char.isspace() or ord(char) < 33 or char in "\\<>\"'" for char in url)
    if odd or not url.isascii() or "@" in parts.netloc or "." not in host or port == 0:
        raise Invalid(f"{field} must be a plain link such as https://meet.example.com/abc.", field=field)
    return url
