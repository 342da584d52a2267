"""What KPIs do by themselves every night."""

from __future__ import annotations

import random
from datetime import datetime

from kpis import health, nights, self_measurement
from kpis.alerts import actions as alerts
from kpis.reports import making
from kpis.reports.kinds import Kind
from majorops.lib.jobs import job


@job("kpi-nightly", when="daily 02:15")
def compute_last_days(now: datetime) -> str:
    """Computes the last days of every active KPI anew, so that rows that came late are counted."""
    return nights.compute(now)


@job("kpi-verify", when="daily 03:45")
def verify_one_moment(now: datetime) -> str:
    """Computes one past moment of every active KPI again and compares it with what is stored."""
    return nights.verify(random.Random())  # noqa: S311  (chooses a day, guards nothing)


@job("kpi-alerts", when="every 5 minutes")
def check_alerts(now: datetime) -> str:
    """Checks every alert rule against its KPI, and tells whoever is due."""
    return alerts.check(now)


@job("report-weekly", when="mon 09:00")
def weekly_reports(now: datetime) -> str:
    """Makes the weekly executive and technical reports, and mails them."""
    return making.scheduled((Kind.WEEKLY_EXECUTIVE, Kind.WEEKLY_TECHNICAL), now)


@job("report-daily", when="daily 18:00")
def daily_report(now: datetime) -> str:
    """Makes the daily collection."""
    return making.scheduled((Kind.DAILY,), now)


@job("report-ninety-days", when="mon 09:15")
def ninety_days_report(now: datetime) -> str:
    """Makes the 90-day report, once the last one is 90 days old."""
    return making.scheduled((Kind.NINETY_DAYS,), now)


@job("health-checks", when="every 5 minutes")
def check_health(now: datetime) -> str:
    """Asks the services of MAJOROPS_HEALTH_CHECKS whether they are well."""
    return health.in_words(health.check(now))


@job("request-facts", when="every 15 minutes")
def take_up_requests(now: datetime) -> str:
    """Makes facts of the requests that the servers measured of themselves."""
    return self_measurement.take_up(now)
