"""RULES: the one canonical form of an e-mail identity."""

from __future__ import annotations

import re

from majorops.lib.errors import DomainError

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
MAX_LENGTH = 254


class MalformedEmail(DomainError):
    """This is not one plain ASCII e-mail address."""

    code = "malformed_identity"
    status = 400


def canonical_email(text: str) -> str:
    """The address in lower case. Raises MalformedEmail.

    Refused before lower-casing: the Kelvin sign lower-cases to an ASCII k, and servers join two
    headers with a comma. `+tag` and dots stay: the identity provider says who is who.
    """
    if not text.isascii() or len(text) > MAX_LENGTH or text.count("@") != 1:
        raise MalformedEmail
    local, domain = text.split("@")
    if len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise MalformedEmail
    return text.lower()
