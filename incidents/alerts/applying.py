"""What is made of an alert: a new episode of it, or news of one that is known. Its source is locked meanwhile."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from incidents import actions
from incidents.alerts import policy
from incidents.alerts.kinds import Standing, State, Verdict
from incidents.alerts.linking import alerts_of, end_changes, ends_of, keep, link, open_from, open_incident_of
from incidents.alerts.policy import Known, News
from incidents.alerts.said import Outcome, Said, https
from incidents.alerts.storms import gather, is_storm_of
from incidents.errors import AlreadyOpen
from incidents.models import Incident, SourceAlert
from majorops.lib.errors import DomainError


def applied(said: Said) -> Outcome:
    """What the domain refuses of one alert is told, and does not hold up the others."""
    try:
        with transaction.atomic():
            return apply(said)
    except DomainError as error:
        return said.outcome(Verdict.FAILED, error.message)


def known_of(row: SourceAlert | None) -> Known | None:
    if row is None:
        return None
    is_open = row.incident is not None and row.incident.is_open
    return Known(Standing(row.standing), State(row.state), row.last_at, is_open)


def apply(said: Said) -> Outcome:
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


def _begin(said: Said, news: News) -> Outcome:
    """A new episode. The one before it, if there is one, is over."""
    old = SourceAlert.objects.current().filter(source=said.source, dedup_key=said.alert.dedup_key)
    old.update(is_current=False)
    is_storm = is_storm_of(said)
    row = _new_row(said, Standing.HELD)
    if news == News.STRAY and open_incident_of(row) is None:
        return said.outcome(Verdict.PARKED, "It ended before we heard that it began. Kept, in case that comes late.")
    return _place(said, row, is_storm=is_storm)


def _new_row(said: Said, standing: Standing) -> SourceAlert:
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
        bridge_url=https(alert.bridge_url),
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


def _place(said: Said, row: SourceAlert, *, is_storm: bool) -> Outcome:
    """Finds an incident for it, opens one, or makes it a candidate."""
    found, is_over = open_incident_of(row), row.state == State.RESOLVED
    verdict = policy.placed(said.source.policy, has_incident=found is not None, is_over=is_over, is_storm=is_storm)
    if verdict == Verdict.OPENED:
        try:
            found = open_from(row, title=row.title, severity=row.severity, stamp=said.stamp)
        except AlreadyOpen:
            found, verdict = open_incident_of(row), Verdict.ATTACHED
    if found is not None:
        link(row, found, stamp=said.stamp, is_new=verdict == Verdict.OPENED)
        told = "An incident was opened." if verdict == Verdict.OPENED else "An incident of this alert is open."
        return said.outcome(verdict, told, found)
    if verdict == Verdict.IGNORED:
        keep(row, standing=Standing.IGNORED)
        return said.outcome(verdict, "This source only attaches, and no open incident names this alert.")
    keep(row, standing=Standing.WAITING)
    if is_storm:
        gather(said, row)
        told = f"More than {said.source.per_minute} new alerts in a minute: gathered into one candidate."
        return said.outcome(verdict, told)
    told = "It is over at its source already. " if is_over else ""
    return said.outcome(verdict, f"{told}It waits for a person.")


def _pair(said: Said, row: SourceAlert) -> Outcome:
    """The beginning of what had ended: both times are known now."""
    alert = said.alert
    keep(
        row,
        title=alert.title,
        description=alert.description,
        severity=said.severity,
        severity_said=alert.severity_said,
        issue_time=said.not_ahead(alert.issue_time) or row.issue_time,
        last_seen_at=said.now,
        last_body=said.sha,
    )
    return _place(said, row, is_storm=is_storm_of(said))


def _fill(said: Said, row: SourceAlert) -> Outcome:
    """Older than what we know: it only tells what we did not know yet."""
    issued = said.not_ahead(said.alert.issue_time)
    is_news = row.issue_time is None and issued is not None
    keep(row, last_seen_at=said.now, last_body=said.sha, **({"issue_time": issued} if is_news else {}))
    if is_news and row.incident and row.incident.issue_time is None:
        title = "When the alert fired is known now"
        actions.record_alert(row.incident, title, stamp=said.stamp, changes={"issue_time": issued})
    told = "It tells when the alert fired." if is_news else "Something later is known already."
    return said.outcome(Verdict.UPDATED if is_news else Verdict.IGNORED, told, row.incident)


def _go_on(said: Said, row: SourceAlert, news: News) -> Outcome:
    """The same again, or in another state. Of the incident it touches the columns of the alert alone."""
    before = ends_of(row.incident)
    was_severity = row.severity
    changes: dict[str, object] = {"last_at": max(row.last_at, said.at), "last_seen_at": said.now, "last_body": said.sha}
    if said.alert.severity_said and said.alert.state != State.RESOLVED:
        changes |= {"severity": said.severity, "severity_said": said.alert.severity_said}
    if news == News.CHANGE:
        changes |= {"state": said.alert.state, "resolve_time": said.ended}
    elif said.alert.state != State.RESOLVED:
        changes |= {"repeats": row.repeats + 1}
    keep(row, **changes)
    if row.incident is None:
        return _without_incident(said, row)
    if news == News.CHANGE:
        _tell_state(said, row, row.incident, before)
    if row.severity != was_severity:
        title = f"{said.source.name} now says {row.get_severity_display()}: {row.title}"
        actions.record_alert(row.incident, title, stamp=said.stamp)
    told = f"{row.get_state_display()}." if news == News.CHANGE else "The same was said before."
    return said.outcome(Verdict.UPDATED, told, row.incident)


def _without_incident(said: Said, row: SourceAlert) -> Outcome:
    found = open_incident_of(row)
    if found is not None and row.standing != Standing.DISMISSED:
        link(row, found, stamp=said.stamp)
        return said.outcome(Verdict.ATTACHED, "An incident of this alert is open by now.", found)
    if row.standing == Standing.IGNORED:
        return said.outcome(Verdict.IGNORED, "No open incident names this alert.")
    return said.outcome(Verdict.UPDATED, f"{row.get_standing_display()}. {row.get_state_display()} at its source.")


def _tell_state(said: Said, row: SourceAlert, incident: Incident, before: datetime | None) -> None:
    words = {
        State.FIRING: "Alert fires again",
        State.ACKNOWLEDGED: "Alert acknowledged at its source",
        State.RESOLVED: "Alert cleared at its source",
    }
    firing = alerts_of(incident).exclude(state=State.RESOLVED).count()
    others = f" ({firing} of its alerts still fire)" if row.state == State.RESOLVED and firing else ""
    title = f"{words[State(row.state)]}: {row.title}{others}"
    actions.record_alert(incident, title, stamp=said.stamp, changes=end_changes(incident, before))
