"""What would become of a body, without writing anything."""

from __future__ import annotations

from datetime import datetime

from incidents.alerts import policy
from incidents.alerts.applying import known_of
from incidents.alerts.inbox import read
from incidents.alerts.kinds import Verdict
from incidents.alerts.policy import News
from incidents.alerts.said import Outcome, Said, https
from incidents.alerts.storms import is_storm_of
from incidents.models import Incident, IntakeSource, SourceAlert
from majorops.lib.times import iso


def preview(source: IntakeSource, body: bytes, *, now: datetime) -> list[dict[str, object]]:
    """What each alert in a body says and what would become of it. Writes nothing. Raises Malformed."""
    reading = read(source, body)
    if not reading.alerts:
        return [Outcome(Verdict.IGNORED, reading.ignored).as_json()]
    return [_previewed(Said(source, alert, "", now, reading.truncated)) for alert in reading.alerts]


def _previewed(said: Said) -> dict[str, object]:
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
        "bridge_url": https(alert.bridge_url),
        "truncated": said.truncated,
    }


def _expected(said: Said, news: News) -> Verdict:
    keys = {said.alert.dedup_key, said.alert.alert_id} - {""}
    has_incident = Incident.objects.active().filter(alert_source=said.source.slug, dedup_key__in=keys).exists()
    if news == News.STRAY and not has_incident:
        return Verdict.PARKED
    if news in (News.NEW, News.PAIR, News.STRAY):
        is_over = news != News.NEW
        return policy.placed(said.source.policy, has_incident=has_incident, is_over=is_over, is_storm=is_storm_of(said))
    return Verdict.IGNORED if news == News.LATE else Verdict.UPDATED
