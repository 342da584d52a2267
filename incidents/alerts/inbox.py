"""THE ONLY WRITER of deliveries. Of alerts: applying, linking and storms beside it. Of incidents: incidents.actions.

    receive(source, delivery, now=)     a delivery, once: read, applied, and kept with its verdict
    replay(event, now=)                 the same body again, after a map or a policy changed

Everything of one source happens one after the other, under the lock of its row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from accounts.idempotency import effect
from incidents.alerts import policy
from incidents.alerts.alert import Malformed, Reading
from incidents.alerts.applying import applied
from incidents.alerts.kinds import SourceKind, Verdict
from incidents.alerts.registry import read_payload
from incidents.alerts.said import Outcome, Said
from incidents.models import IntakeEvent, IntakeSource, SourceAlert
from majorops.lib import safe_json

MAX_BYTES = 256 * 1024
#: What some senders put before their JSON. A signature counts it.
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source sent."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The id that stood in a header.
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The row of a delivery. `is_duplicate`: it is that of the first time, and nothing was changed."""

    event: IntakeEvent
    is_duplicate: bool
    #: Why it cannot be read, for the sender.
    refused: Malformed | None = None
    reading: Reading = field(default_factory=Reading)


# --- Reading ---


def read(source: IntakeSource, body: bytes) -> Reading:
    """Raises Malformed: nothing else, whatever the body is."""
    try:
        payload = safe_json.parse(body.removeprefix(BOM))
    except safe_json.NotJson as error:
        raise Malformed(error.message, error.path) from None
    return read_payload(source.kind, payload, source.field_map)


def _tried(source: IntakeSource, body: bytes) -> tuple[Reading, Malformed | None]:
    try:
        return read(source, body), None
    except Malformed as error:
        return Reading(), error


def kept_text(source: IntakeSource, body: bytes) -> str:
    """The body as it can be stored and shown, without the secret that Events v2 carries in it."""
    text = body.decode(errors="backslashreplace").replace("\0", "\\x00")
    if source.kind != SourceKind.PAGERDUTY_EVENTS:
        return text
    try:
        payload = safe_json.parse(body)
    except safe_json.NotJson:
        return "(A body that cannot be read may hold a secret anywhere; it is not kept.)"
    return json.dumps(payload | {"routing_key": "(secret)"}, ensure_ascii=False) if isinstance(payload, dict) else "{}"


# --- Receiving ---


def receive(source: IntakeSource, delivery: Delivery, *, now: datetime) -> Receipt:
    """Reads a delivery, applies it, and keeps it. Sent again, it changes nothing."""
    reading, refused = _tried(source, delivery.body)
    event_id = (delivery.event_id or reading.event_id)[:200]
    with effect():
        current = IntakeSource.objects.select_for_update(no_key=True).get(pk=source.pk)
        sha = hashlib.sha256(delivery.body).hexdigest()
        if twin := _twin(current, event_id, sha, reading, refused):
            return Receipt(twin, True, refused, reading)
        event = _keep(current, delivery, event_id, _outcomes(current, reading, refused, sha, now), reading, now)
    return Receipt(event, False, refused, reading)


def replay(event: IntakeEvent, *, now: datetime) -> Receipt:
    """Reads a kept body again as its source reads bodies now. A row of its own says what came of it."""
    body = event.body.encode()
    with effect():
        current = IntakeSource.objects.select_for_update(no_key=True).get(pk=event.source_id)
        reading, refused = _tried(current, body)
        outcomes = _outcomes(current, reading, refused, event.body_sha256, now)
        delivery = Delivery(body, event.headers)
        again = _keep(current, delivery, event.event_id, outcomes, reading, now, replays=event.replays or event)
    return Receipt(again, False, refused, reading)


def keep_failed(source: IntakeSource, delivery: Delivery, reason: str, *, now: datetime) -> Receipt:
    """A delivery that broke us: kept, so that it can be replayed once we are mended."""
    with transaction.atomic():
        event = _keep(source, delivery, "", [Outcome(Verdict.FAILED, reason)], Reading(), now)
    return Receipt(event, False)


def _twin(
    source: IntakeSource, event_id: str, sha: str, reading: Reading, refused: Malformed | None
) -> IntakeEvent | None:
    """The delivery that this one repeats: by its id; without one by its body, if nothing else was said since."""
    first_times = IntakeEvent.objects.filter(source=source, replays=None)
    if event_id:
        return first_times.filter(event_id=event_id).first()
    same = first_times.filter(body_sha256=sha).order_by("-id").first()
    if same is None or (refused is not None) != (same.verdict == Verdict.FAILED):
        return None
    if refused is not None or not reading.alerts:
        return same
    keys = {alert.dedup_key for alert in reading.alerts}
    told = SourceAlert.objects.current().filter(source=source, dedup_key__in=keys, last_body=sha)
    return same if told.count() == len(keys) else None


def _keep(
    source: IntakeSource,
    delivery: Delivery,
    event_id: str,
    outcomes: list[Outcome],
    reading: Reading,
    now: datetime,
    replays: IntakeEvent | None = None,
) -> IntakeEvent:
    gravest = policy.gravest([outcome.verdict for outcome in outcomes])
    telling = next(outcome for outcome in outcomes if outcome.verdict == gravest)
    left_out = f" The sender left {reading.truncated} alerts of the group out." if reading.truncated else ""
    return IntakeEvent.objects.create(
        source=source,
        received_at=now,
        event_id=event_id,
        body=kept_text(source, delivery.body) if replays is None else replays.body,
        body_sha256=hashlib.sha256(delivery.body).hexdigest() if replays is None else replays.body_sha256,
        headers=dict(delivery.headers),
        verdict=gravest,
        reason=(telling.reason + left_out)[:500],
        outcomes=[outcome.as_json() for outcome in outcomes],
        truncated=min(reading.truncated, 2**31 - 1),
        incident_id=next((outcome.incident_id for outcome in outcomes if outcome.incident_id), None),
        replays=replays,
    )


def _outcomes(
    source: IntakeSource, reading: Reading, refused: Malformed | None, sha: str, now: datetime
) -> list[Outcome]:
    if refused is not None:
        return [Outcome(Verdict.FAILED, f"{refused.pointer or 'The body'}: {refused.message}")]
    if not reading.alerts:
        return [Outcome(Verdict.IGNORED, reading.ignored)]
    return [applied(Said(source, alert, sha, now, reading.truncated)) for alert in reading.alerts]
