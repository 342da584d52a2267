"""THE ONLY WRITER of alert sources and their secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest

from accounts import audit
from accounts.idempotency import effect
from accounts.models import User
from incidents.alerts import proof
from incidents.alerts.kinds import SourceKind
from incidents.models import IntakeSource
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.text import clean_text

CHANGEABLE = ("name", "policy", "severity_map", "field_map", "per_minute", "is_active")
#: The first is the shortest that PagerDuty and Grafana are known to use.
SECRET_LENGTHS = (16, 190)


class SlugIsTaken(DomainError):
    """Another source has this address. Choose another slug."""

    code = "slug_is_taken"


@dataclass(frozen=True, slots=True)
class Made:
    """A source, and the secret that is shown this once."""

    source: IntakeSource
    secret: str


def create(*, slug: str, name: str, kind: str, by: User | None, now: datetime, request: HttpRequest | None = None,
           secret: str = "", **more: Any) -> Made:  # fmt: skip
    """A new source with its first secret. `more`: what CHANGEABLE names. Raises Invalid, SlugIsTaken."""
    source = IntakeSource(slug=slug, kind=kind, created_at=now, created_by=by)
    _set(source, {"name": name, **more})
    shown = _given(kind, secret) if secret else proof.new_secret(kind)
    source.secret = proof.stored(kind, shown)
    with effect():
        if IntakeSource.objects.filter(slug=slug).exists():
            raise SlugIsTaken(field="slug")
        source.save(force_insert=True)
        audit.record("intake_source_change", request=request, by=by, obj=source, after=described(source))
    return Made(source, shown)


def change(
    source: IntakeSource, changes: Mapping[str, Any], *, by: User | None, request: HttpRequest | None = None
) -> IntakeSource:
    """Sets what CHANGEABLE names. Raises Invalid."""
    with effect(source):
        current = IntakeSource.objects.select_for_update(no_key=True).get(pk=source.pk)
        before = described(current)
        _set(current, changes)
        current.save(update_fields=list(CHANGEABLE))
        after = described(current)
        if before != after:
            audit.record("intake_source_change", request=request, by=by, obj=current, before=before, after=after)
    return current


def rotate(source: IntakeSource, *, by: User | None, given: str = "", request: HttpRequest | None = None) -> Made:
    """A new secret, or one that the sender gave. Both it and the one before it are taken until `finish_rotation`."""
    with effect(source):
        current = IntakeSource.objects.select_for_update(no_key=True).get(pk=source.pk)
        shown = _given(current.kind, given) if given else proof.new_secret(current.kind)
        current.old_secret, current.secret = current.secret, proof.stored(current.kind, shown)
        current.save(update_fields=["secret", "old_secret"])
        audit.record("intake_source_secret", request=request, by=by, obj=current, reason="A new secret.")
    return Made(current, "" if given else shown)


def finish_rotation(source: IntakeSource, *, by: User | None, request: HttpRequest | None = None) -> IntakeSource:
    """From now on only the newest secret is taken."""
    with effect(source):
        current = IntakeSource.objects.select_for_update(no_key=True).get(pk=source.pk)
        if current.old_secret:
            current.old_secret = ""
            current.save(update_fields=["old_secret"])
            audit.record("intake_source_secret", request=request, by=by, obj=current, reason="The old one ends.")
    return current


def _given(kind: str, secret: str) -> str:
    least, most = SECRET_LENGTHS
    secret = clean_text(secret, field="secret", required=True)
    if not least <= len(secret) <= most or not secret.isascii() or " " in secret:
        raise Invalid(f"secret must have {least} to {most} ASCII characters and no space.", field="secret")
    if kind == SourceKind.GENERIC and not _is_standard(secret):
        raise Invalid("secret must begin with whsec_ and go on in base64.", field="secret")
    return secret


def _is_standard(secret: str) -> bool:
    try:
        return secret.startswith("whsec_") and len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) >= 16
    except ValueError:
        return False


def described(source: IntakeSource) -> dict[str, object]:
    """For the audit trail: nothing secret."""
    return {name: getattr(source, name) for name in ("slug", "kind", *CHANGEABLE)}


def _set(source: IntakeSource, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if name not in CHANGEABLE:
            raise Invalid(f"{name} cannot be set. These can: {', '.join(CHANGEABLE)}.", field=name)
        setattr(source, name, value)
    try:
        source.full_clean(exclude=["id", "secret", "old_secret", "created_by"], validate_unique=False)
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {' '.join(messages)}", field=name) from None


# --- Finding one ---


def source_at(slug: str) -> IntakeSource | None:
    """The source of this address, if it is switched on."""
    return IntakeSource.objects.filter(slug=slug, is_active=True).first()


def source_of_key(routing_key: str) -> IntakeSource | None:
    """The source of Events v2 that has this key, newest or older."""
    kept = proof.hashed(routing_key)
    live = IntakeSource.objects.filter(kind=SourceKind.PAGERDUTY_EVENTS, is_active=True)
    return live.filter(Q(secret=kept) | Q(old_secret=kept)).first() if routing_key else None
