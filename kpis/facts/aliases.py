"""People in facts have aliases: the same person always the same, and no way back to the address."""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings


def alias_of(email: str) -> str:
    """`person-` and twelve digits that only this installation can make from the address."""
    key = (settings.MAJOROPS_ALIAS_KEY or settings.SECRET_KEY).encode()
    digest = hmac.new(key, b"alias:" + email.strip().lower().encode(), hashlib.sha256).hexdigest()
    return f"person-{digest[:12]}"
