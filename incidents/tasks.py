"""What incidents do by themselves."""

from __future__ import annotations

from datetime import datetime

from incidents import outbox, promise_alerts
from majorops.lib.jobs import job


@job("deliver", when="every 1 minute")
def deliver(now: datetime) -> str:
    """Sends what is due to teams and subscribers, and tries again what failed."""
    return str(outbox.deliver_due(now))


@job("alert-overdue", when="every 1 minute")
def alert_overdue(now: datetime) -> str:
    """Tells the leader and the incident manager of promised updates that are long overdue, each once."""
    return f"{len(promise_alerts.alert_overdue(now))} alerted."
