"""`/metrics`, for Prometheus: incidents, KPIs, alerts and jobs. No label names a person or an incident."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from accounts.middleware import NotSignedIn, open_to_anyone
from accounts.models import User
from accounts.peers import is_in, peer_of
from accounts.principals import Service
from accounts.refusals import refusal
from accounts.roles import Can
from accounts.scopes import Scope
from incidents import outbox
from incidents.lifecycle import Kind, Severity
from incidents.models import Incident
from kpis.monitoring import series
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible
from majorops.models import JobRun, RunState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Reads what every program with this scope reads; restricted incidents are not among it.
COUNTER = Service("metrics", "Prometheus", frozenset({Scope.INCIDENTS_READ.value}))
#: A request that carries one of these came through a proxy: its peer says nothing of who asks.
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_CF_CONNECTING_IP")
RECENT = timedelta(days=1)


class MayNotScrape(DomainError):
    """This takes a program with the scope metrics:read, an administrator, or a network that is let in."""

    code = "metrics_scope_required"
    status = 403


@csrf_exempt
@open_to_anyone
@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, in its text format."""
    if not _may_scrape(request):
        return refusal(request, MayNotScrape() if request.user.is_authenticated else NotSignedIn())
    return HttpResponse(text(timezone.now()), content_type=CONTENT_TYPE)


def _may_scrape(request: HttpRequest) -> bool:
    who: object = request.user
    if isinstance(who, Service):
        return Scope.METRICS_READ in who.scopes
    if isinstance(who, User):
        return who.can(Can.ADMINISTER)
    return _is_near(request)


def _is_near(request: HttpRequest) -> bool:
    """Whether the peer itself stands in a network that is let in."""
    if any(name in request.META for name in FORWARDED):
        return False
    return is_in(peer_of(request), settings.MAJOROPS_METRICS_NETWORKS)


def text(now: datetime) -> bytes:
    registry = CollectorRegistry()
    registry.register(_House(now))
    return generate_latest(registry)


class _House(Collector):
    def __init__(self, now: datetime) -> None:
        self.now = now

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is known before it is asked for."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from _incidents(self.now)
        yield from series.families(self.now)
        yield _jobs()
        yield from _outbox(self.now)


def _incidents(now: datetime) -> Iterator[GaugeMetricFamily]:
    active = visible(Incident.objects.active().filter(kind=Kind.REAL), COUNTER)
    counts = dict(active.order_by().values_list("severity").annotate(Count("pk")))
    name = "majorops_incidents_open"
    family = GaugeMetricFamily(name, "Incidents that are not resolved, without drills.", labels=["severity"])
    for severity in Severity.values:
        family.add_metric([severity], counts.get(severity, 0))
    yield family
    overdue = active.filter(next_update_eta__lt=now).count()
    yield GaugeMetricFamily("majorops_update_overdue", "Incidents whose promised update is late.", value=overdue)


def _jobs() -> GaugeMetricFamily:
    name = "majorops_job_last_success_timestamp_seconds"
    family = GaugeMetricFamily(name, "When the job last ended well; absent if it never did.", labels=["job"])
    done = JobRun.objects.filter(state=RunState.DONE).order_by().values_list("schedule_id")
    for job, last in done.annotate(Max("finished_at")):
        family.add_metric([job], last.timestamp())
    return family


def _outbox(now: datetime) -> Iterator[GaugeMetricFamily]:
    lag = outbox.lag(now - RECENT)
    yield GaugeMetricFamily("majorops_outbox_waiting", "Messages that wait to be sent.", value=lag.waiting)
    yield GaugeMetricFamily("majorops_outbox_failed", "Messages given up within a day.", value=lag.failed)
