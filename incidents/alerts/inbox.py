"""THE ONLY WRITER of deliveries and of what is known of alerts. Incidents are written by incidents.actions.

    receive(source, delivery, now=)     a delivery, once: read, applied, and kept with its verdict
    replay(event, now=)                 the same body again, after a map or a policy changed
    preview(source, body, now=)         what would become of it; writes nothing

Everything of one source happens one after the other, under the lock of its row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from accounts.idempotency import effect
from incidents import actions
from incidents.actions import Stamp
from incidents.alerts import policy
from incidents.alerts.alert import Alert, Malformed, Reading, severity_of
from incidents.alerts.kinds import SourceKind, Standing, State, Verdict
from incidents.alerts.policy import Known, News
from incidents.alerts.registry import read_payload
from incidents.errors import AlreadyOpen
from incidents.lifecycle import Severity
from incidents.models import Incident, IntakeEvent, IntakeSource, Source, SourceAlert
from incidents.models.intake import SourceAlertQuerySet
from majorops.lib import safe_json
from majorops.lib.errors import DomainError
from majorops.lib.links import check_https
from majorops.lib.times import SKEW, iso

MAX_BYTES = 256 * 1024
#: A storm goes on as long as the next alert comes within this time.
LULL = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
#: For a severity that nobody can read.
FALLBACK = Severity.MEDIUM


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source sent."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The id that stood in a header.
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert."""

    verdict: Verdict
    reason: str
    alert: Alert | None = None
    incident_id: str | None = None

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {"verdict": str(self.verdict), "reason": self.reason, "incident": self.incident_id}
        if self.alert is None:
            return told
        return {"key": self.alert.dedup_key, "title": self.alert.title, "state": str(self.alert.state), **told}


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
        payload = safe_json.parse(body)
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
    return [_safely(_Said(source, alert, sha, now, reading.truncated)) for alert in reading.alerts]


@dataclass(frozen=True, slots=True)
class _Said:
    """An alert as it was said in one delivery."""

    source: IntakeSource
    alert: Alert
    sha: str
    now: datetime
    truncated: int

    @property
    def at(self) -> datetime:
        """When it was so. A clock that runs ahead is not believed."""
        return self.not_ahead(self.alert.occurred_at) or self.now

    def not_ahead(self, moment: datetime | None) -> datetime | None:
        if moment is None or moment > self.now + SKEW:
            return None
        return min(moment, self.now)

    @property
    def ended(self) -> datetime | None:
        if self.alert.state != State.RESOLVED:
            return None
        return self.not_ahead(self.alert.resolve_time) or self.at

    @property
    def severity(self) -> Severity:
        return severity_of(self.alert.severity_said, self.source.severity_map) or FALLBACK

    @property
    def stamp(self) -> Stamp:
        return Stamp(by=None, at=self.at, now=self.now, source=Source.INTAKE, name=self.source.name)

    def outcome(self, verdict: Verdict, reason: str, incident: Incident | None = None) -> Outcome:
        said = self.alert.severity_said
        unread = said and severity_of(said, self.source.severity_map) is None
        odd = f" Its severity {said[:40]!a} is unknown and was taken for {FALLBACK.label}." if unread else ""
        return Outcome(verdict, reason + odd, self.alert, incident.pk if incident else None)


def _safely(said: _Said) -> Outcome:
    """What the domain refuses of one alert is told, and does not hold up the others."""
    try:
        with transaction.atomic():
            return _apply(said)
    except DomainError as error:
        return said.outcome(Verdict.FAILED, error.message)


# --- Applying ---


def known_of(row: SourceAlert | None) -> Known | None:
    if row is None:
        return None
    is_open = row.incident is not None and row.incident.is_open
    return Known(Standing(row.standing), State(row.state), row.last_at, is_open)


def _apply(said: _Said) -> Outcome:
    rows = SourceAlert.objects.current().filter(source=said.source, dedup_key=said.alert.dedup_key)
    row = rows.select_related("incident").first()
    news = policy.news_of(said.alert.state, said.at, known_of(row))
    if row is None or news in (News.NEW, News.STRAY):
        return _begin(said, news)
    if news == News.PAIR:
        return _pair(said, row)
    if news == News.LATE:
        return _fill(said, row)
    return _go_on(said, row, news)


def _begin(said: _Said, news: News) -> Outcome:
    """A new episode. The one before it, if there is one, is over."""
    old = SourceAlert.objects.current().filter(source=said.source, dedup_key=said.alert.dedup_key)
    old.update(is_current=False)
    is_storm = _is_storm(said)
    row = _new_row(said, Standing.HELD)
    if news == News.STRAY and _open_incident_of(row) is None:
        return said.outcome(Verdict.PARKED, "It ended before we heard that it began. Kept, in case that comes late.")
    return _place(said, row, is_storm=is_storm)


def _new_row(said: _Said, standing: Standing) -> SourceAlert:
    alert = said.alert
    return SourceAlert.objects.create(
        source=said.source,
        dedup_key=alert.dedup_key,
        alert_id=alert.alert_id,
        title=alert.title,
        description=alert.description,
        severity=said.severity,
        severity_said=alert.severity_said,
        link=alert.link,
        bridge_url=_https(alert.bridge_url),
        affected_systems=list(alert.affected_systems),
        customer_count=alert.customer_count,
        state=alert.state,
        standing=standing,
        issue_time=said.not_ahead(alert.issue_time),
        resolve_time=said.ended,
        last_at=said.at,
        first_seen_at=said.now,
        last_seen_at=said.now,
        truncated=min(said.truncated, 2**31 - 1),
        last_body=said.sha,
    )


def _https(url: str) -> str:
    try:
        return check_https(url, field="bridge_url") if url else ""
    except DomainError:
        return ""


def _place(said: _Said, row: SourceAlert, *, is_storm: bool) -> Outcome:
    """Finds an incident for it, opens one, or makes it a candidate."""
    found, is_over = _open_incident_of(row), row.state == State.RESOLVED
    verdict = policy.placed(said.source.policy, has_incident=found is not None, is_over=is_over, is_storm=is_storm)
    if verdict == Verdict.OPENED:
        try:
            found = open_from(row, title=row.title, severity=row.severity, stamp=said.stamp)
        except AlreadyOpen:
            found, verdict = _open_incident_of(row), Verdict.ATTACHED
    if found is not None:
        link(row, found, stamp=said.stamp, is_new=verdict == Verdict.OPENED)
        told = "An incident was opened." if verdict == Verdict.OPENED else "An incident of this alert is open."
        return said.outcome(verdict, told, found)
    if verdict == Verdict.IGNORED:
        _set(row, standing=Standing.IGNORED)
        return said.outcome(verdict, "This source only attaches, and no open incident names this alert.")
    _set(row, standing=Standing.WAITING)
    if is_storm:
        _gather(said, row)
        told = f"More than {said.source.per_minute} new alerts in a minute: gathered into one candidate."
        return said.outcome(verdict, told)
    told = "It is over at its source already. " if is_over else ""
    return said.outcome(verdict, f"{told}It waits for a person.")


def _pair(said: _Said, row: SourceAlert) -> Outcome:
    """The beginning of what had ended: both times are known now."""
    alert = said.alert
    _set(
        row,
        title=alert.title,
        description=alert.description,
        severity=said.severity,
        severity_said=alert.severity_said,
        issue_time=said.not_ahead(alert.issue_time) or row.issue_time,
        last_seen_at=said.now,
        last_body=said.sha,
    )
    return _place(said, row, is_storm=_is_storm(said))


def _fill(said: _Said, row: SourceAlert) -> Outcome:
    """Older than what we know: it only tells what we did not know yet."""
    issued = said.not_ahead(said.alert.issue_time)
    is_news = row.issue_time is None and issued is not None
    _set(row, last_seen_at=said.now, last_body=said.sha, **({"issue_time": issued} if is_news else {}))
    if is_news and row.incident and row.incident.issue_time is None:
        title = "When the alert fired is known now"
        actions.record_alert(row.incident, title, stamp=said.stamp, changes={"issue_time": issued})
    told = "It tells when the alert fired." if is_news else "Something later is known already."
    return said.outcome(Verdict.UPDATED if is_news else Verdict.IGNORED, told, row.incident)


def _go_on(said: _Said, row: SourceAlert, news: News) -> Outcome:
    """The same again, or in another state. Of the incident it touches the columns of the alert alone."""
    before = _ends(row.incident)
    was_severity = row.severity
    changes: dict[str, object] = {"last_at": max(row.last_at, said.at), "last_seen_at": said.now, "last_body": said.sha}
    if said.alert.severity_said and said.alert.state != State.RESOLVED:
        changes |= {"severity": said.severity, "severity_said": said.alert.severity_said}
    if news == News.CHANGE:
        changes |= {"state": said.alert.state, "resolve_time": said.ended}
    elif said.alert.state != State.RESOLVED:
        changes |= {"repeats": row.repeats + 1}
    _set(row, **changes)
    if row.incident is None:
        return _without_incident(said, row)
    if news == News.CHANGE:
        _tell_state(said, row, row.incident, before)
    if row.severity != was_severity:
        title = f"{said.source.name} now says {row.get_severity_display()}: {row.title}"
        actions.record_alert(row.incident, title, stamp=said.stamp)
    told = f"{row.get_state_display()}." if news == News.CHANGE else "The same was said before."
    return said.outcome(Verdict.UPDATED, told, row.incident)


def _without_incident(said: _Said, row: SourceAlert) -> Outcome:
    found = _open_incident_of(row)
    if found is not None and row.standing != Standing.DISMISSED:
        link(row, found, stamp=said.stamp)
        return said.outcome(Verdict.ATTACHED, "An incident of this alert is open by now.", found)
    if row.standing == Standing.IGNORED:
        return said.outcome(Verdict.IGNORED, "No open incident names this alert.")
    return said.outcome(Verdict.UPDATED, f"{row.get_standing_display()}. {row.get_state_display()} at its source.")


def _tell_state(said: _Said, row: SourceAlert, incident: Incident, before: datetime | None) -> None:
    words = {
        State.FIRING: "Alert fires again",
        State.ACKNOWLEDGED: "Alert acknowledged at its source",
        State.RESOLVED: "Alert cleared at its source",
    }
    firing = _alerts_of(incident).exclude(state=State.RESOLVED).count()
    others = f" ({firing} of its alerts still fire)" if row.state == State.RESOLVED and firing else ""
    title = f"{words[State(row.state)]}: {row.title}{others}"
    actions.record_alert(incident, title, stamp=said.stamp, changes=_end_changes(incident, before))


def _ends(incident: Incident | None) -> datetime | None:
    if incident is None:
        return None
    return policy.cleared_at(list(_alerts_of(incident).values_list("resolve_time", flat=True)))


def _alerts_of(incident: Incident) -> SourceAlertQuerySet:
    """Its alerts; a storm is none itself."""
    return SourceAlert.objects.filter(incident=incident, is_storm=False)


def _end_changes(incident: Incident, before: datetime | None) -> dict[str, object]:
    """What the end of the incident's alerts makes of its resolve time, unless a person wrote that."""
    fresh = Incident.objects.get(pk=incident.pk)
    after = _ends(incident)
    return {"resolve_time": after} if fresh.resolve_time == before and after != before else {}


# --- Incidents of alerts; also for the people who decide on candidates ---


def _open_incident_of(row: SourceAlert) -> Incident | None:
    """The open incident that names this alert: by what it was opened with, or what a person typed."""
    keys = {row.dedup_key, row.alert_id} - {""}
    return Incident.objects.active().filter(alert_source=row.source.slug, dedup_key__in=keys).first()


def open_from(row: SourceAlert, *, title: str, severity: str, stamp: Stamp) -> Incident:
    """Opens an incident detected when its alert came in. Raises AlreadyOpen, Invalid."""
    return actions.open_incident(
        title=title,
        severity=severity,
        stamp=Stamp(by=stamp.by, at=row.first_seen_at, now=stamp.now, source=stamp.source, name=stamp.name),
        alert_source=row.source.slug,
        dedup_key=row.dedup_key,
        alert_id=row.alert_id or None,
        description=row.description,
        affected_systems=row.affected_systems,
        customer_count=row.customer_count,
        bridge_url=row.bridge_url or None,
        issue_time=row.issue_time,
    )


def link(row: SourceAlert, incident: Incident, *, stamp: Stamp, is_new: bool = False) -> None:
    """From now on the alert belongs to this incident, whose log says so."""
    before = _ends(incident)
    _set(row, standing=Standing.LINKED, incident=incident)
    gathered = row.gathered.all()
    gathered.update(standing=Standing.LINKED, incident=incident)
    fresh = Incident.objects.get(pk=incident.pk)
    changes = _end_changes(incident, before)
    if fresh.issue_time is None and row.issue_time is not None:
        changes["issue_time"] = row.issue_time
    if not is_new and not fresh.alert_source and fresh.dedup_key is None and _open_incident_of(row) is None:
        changes |= {"alert_source": row.source.slug, "dedup_key": row.dedup_key, "alert_id": row.alert_id or None}
    many = f" and {gathered.count()} more that came with it" if row.is_storm else ""
    over = ", which is over at its source" if row.state == State.RESOLVED else ""
    title = f"Alert from {row.source.name}: {row.title}{many}{over}"
    actions.record_alert(incident, title, stamp=stamp, changes=changes, description=row.link)


def dismiss(row: SourceAlert, reason: str) -> None:
    """Neither it nor what it stands for asks anybody again."""
    _set(row, standing=Standing.DISMISSED, reason=reason)
    row.gathered.update(standing=Standing.DISMISSED)


def _set(row: SourceAlert, **changes: object) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))


# --- Storms ---


def _is_storm(said: _Said) -> bool:
    """Whether this source has brought as many new alerts in the last minute as it may."""
    fresh = SourceAlert.objects.filter(source=said.source, first_seen_at__gt=said.now - MINUTE, is_storm=False)
    return fresh.exclude(standing=Standing.HELD).count() >= said.source.per_minute


def _gather(said: _Said, row: SourceAlert) -> None:
    """Puts the alert into the candidate that stands for the storm; the first one begins it."""
    storms = SourceAlert.objects.waiting().filter(source=said.source, is_storm=True)
    storm = storms.filter(last_seen_at__gt=said.now - LULL).last()
    if storm is None:
        storm = _new_storm(said, row)
    worst = min((Severity(storm.severity), Severity(row.severity)), key=list(Severity).index)
    _set(row, gathered_into=storm)
    _set(storm, last_seen_at=said.now, last_at=max(storm.last_at, said.at), severity=worst, repeats=storm.repeats + 1)


def _new_storm(said: _Said, row: SourceAlert) -> SourceAlert:
    return SourceAlert.objects.create(
        source=said.source,
        dedup_key=f"storm:{row.pk}",
        is_storm=True,
        title=f"Many alerts at once from {said.source.name}"[:200],
        severity=row.severity,
        state=State.FIRING,
        standing=Standing.WAITING,
        issue_time=row.issue_time,
        last_at=said.at,
        first_seen_at=said.now,
        last_seen_at=said.now,
        last_body=said.sha,
    )


# --- Trying out ---


def preview(source: IntakeSource, body: bytes, *, now: datetime) -> list[dict[str, object]]:
    """What each alert in a body says and what would become of it. Writes nothing. Raises Malformed."""
    reading = read(source, body)
    if not reading.alerts:
        return [Outcome(Verdict.IGNORED, reading.ignored).as_json()]
    return [_previewed(_Said(source, alert, "", now, reading.truncated)) for alert in reading.alerts]


def _previewed(said: _Said) -> dict[str, object]:
    rows = SourceAlert.objects.current().filter(source=said.source, dedup_key=said.alert.dedup_key)
    row = rows.select_related("incident").first()
    news = policy.news_of(said.alert.state, said.at, known_of(row))
    alert = said.alert
    told = said.outcome(_expected(said, news), f"News: {news.value}.").as_json()
    return told | {
        "alert_id": alert.alert_id,
        "severity": str(said.severity),
        "severity_said": alert.severity_said,
        "occurred_at": iso(alert.occurred_at),
        "issue_time": iso(alert.issue_time),
        "resolve_time": iso(alert.resolve_time),
        "affected_systems": list(alert.affected_systems),
        "customer_count": alert.customer_count,
        "link": alert.link,
        "bridge_url": _https(alert.bridge_url),
        "truncated": said.truncated,
    }


def _expected(said: _Said, news: News) -> Verdict:
    keys = {said.alert.dedup_key, said.alert.alert_id} - {""}
    has_incident = Incident.objects.active().filter(alert_source=said.source.slug, dedup_key__in=keys).exists()
    if news == News.STRAY and not has_incident:
        return Verdict.PARKED
    if news in (News.NEW, News.PAIR, News.STRAY):
        is_over = news != News.NEW
        return policy.placed(said.source.policy, has_incident=has_incident, is_over=is_over, is_storm=_is_storm(said))
    return Verdict.IGNORED if news == News.LATE else Verdict.UPDATED
