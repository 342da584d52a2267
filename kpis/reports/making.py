"""THE ONLY WRITER of reports: collects the figures, freezes them, and mails the report to whoever may read it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.models import User
from accounts.principals import Service
from accounts.roles import Can
from accounts.scopes import Scope
from accounts.visibility import Viewer
from incidents.lifecycle import Kind as IncidentKind
from incidents.lifecycle import Severity
from incidents.models import Incident, Notice
from incidents.outbox import queue_message
from kpis.alerts.rules import Happening
from kpis.models import AlertEvent, DefinitionStatus, KpiDefinition, KpiObservation, KpiTarget, KpiVisibility, Report
from kpis.monitoring.prometheus_rules import headline
from kpis.reading import shown
from kpis.reports.kinds import Audience, Kind
from kpis.reports.reading import opened
from kpis.reports.rendering import markdown
from kpis.standing import Standings
from kpis.targets import KEYS
from kpis.viewing import renewed
from majorops.lib.times import iso
from majorops.lib.visibility import visible

log = logging.getLogger(__name__)
#: Reads what a program with these scopes reads: rollups, none of single people, none of restricted incidents.
READER = Service(
    "reports", "Reports", frozenset({Scope.KPIS_READ.value, Scope.TEAMS_READ.value, Scope.INCIDENTS_READ.value})
)
READS = {Audience.EXEC: Can.READ_EXEC_KPIS, Audience.INTERNAL: Can.READ_INTERNAL_KPIS}
PERSONAL = ("user", "person", "actor", "author", "operator")
COUNTED = (IncidentKind.REAL, IncidentKind.BACKFILLED)


def make(kind: Kind, *, now: datetime, by: User | None = None) -> Report:
    """A report as of now, frozen. Nobody is told."""
    begin, end = kind.period(now)
    content = collect(kind, begin, end, now)
    told = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return Report.objects.create(
        kind=kind.value,
        audience=kind.audience.value,
        begins_at=begin,
        ends_at=end,
        made_at=now,
        made_by=by,
        content=content,
        content_sha256=hashlib.sha256(told.encode()).hexdigest(),
    )


def standing(viewer: Viewer, now: datetime) -> dict[str, Any]:
    """Every KPI as it stands, as far as its reader may see it. Nothing is kept."""
    content = collect(Kind.METRICS, *Kind.METRICS.period(now), now)
    return opened(Report(content=content), viewer).content


def scheduled(kinds: Iterable[Kind], now: datetime) -> str:
    """Makes and mails each that its schedule has not made yet."""
    made = [report for kind in kinds if (report := _due(kind, now)) is not None]
    return ", ".join(f"{report.kind} made" for report in made) or "There is nothing to report yet."


@transaction.atomic
def _due(kind: Kind, now: datetime) -> Report | None:
    begin, end = kind.period(now)
    before = Report.objects.filter(kind=kind.value, made_by=None)
    known = before.filter(ends_at__gt=begin) if kind is Kind.NINETY_DAYS else before.filter(ends_at=end)
    # One that a program or the command line made, perhaps for nobody else's eyes.
    found = known.order_by("-id").first()
    if found is not None and _is_told(known):
        return None
    report = found or make(kind, now=now)
    send(report, now=now)
    return report


def _is_told(reports: QuerySet[Report]) -> bool:
    """Whether one of them was mailed, or there is nobody to mail it to."""
    if not settings.MAJOROPS_SEND_MAIL or not recipients(Kind(reports[0].kind)):
        return True
    paths = [_path(pk) for pk in reports.values_list("pk", flat=True)]
    return Notice.objects.filter(path__in=paths).exists()


def _path(pk: str) -> str:
    return f"/reports/{pk}"


def send(report: Report, *, now: datetime) -> list[str]:
    """Mails it to those whom the settings name for its kind, as far as their role may read it. Who they were."""
    to = [person.email for person in recipients(Kind(report.kind))]
    title = f"{Kind(report.kind).heading}, {report.period}"
    queue_message(to=to, title=title, text=markdown(report.content), now=now, path=_path(report.pk))
    return to


def recipients(kind: Kind) -> list[User]:
    """People with an account and the right to read it. Anybody else in the settings is left out, and said so."""
    told = [each.partition(":") for each in settings.MAJOROPS_REPORT_RECIPIENTS]
    wanted = {address.strip().lower() for name, _, address in told if name.strip() == kind.value}
    people = User.objects.filter(email__in=wanted, is_active=True).order_by("email")
    may = [person for person in people if person.can(READS[kind.audience])]
    for address in sorted(wanted - {person.email for person in may}):
        log.warning("%s may not read the %s report and gets none.", address, kind.value)
    return may


# --- What stands in it ---


def collect(kind: Kind, begin: datetime, end: datetime, now: datetime) -> dict[str, Any]:
    """The whole content, as plain data."""
    definitions = _definitions(kind)
    standings = Standings(definitions, end)  # fresh or stale as of the period, however late the report is made
    after, before = _rollups(definitions, end), _rollups(definitions, begin)
    with_groups = kind.audience is Audience.INTERNAL
    figures = [
        _figure(definition, dims_key, row, before.get((definition.slug, dims_key)), standings)
        for definition in definitions
        for dims_key, row in _rows_of(definition, after, with_groups=with_groups)
    ]
    return {
        "title": kind.heading,
        "audience": kind.audience.value,
        "begins": iso(begin),
        "ends": iso(end),
        "made": iso(now),
        "incidents": _incidents(begin, end),
        "alerts": _alerts(definitions, begin, end),
        "counts": _counts(figures),
        "figures": figures,
    }


def _definitions(kind: Kind) -> list[KpiDefinition]:
    rows = visible(KpiDefinition.objects.filter(status=DefinitionStatus.ACTIVE, is_personal=False), READER)
    if kind.audience is Audience.EXEC:
        rows = rows.filter(visibility=KpiVisibility.EXEC)
    return list(rows.order_by("slug").prefetch_related("targets"))


def _rollups(definitions: list[KpiDefinition], until: datetime) -> dict[tuple[str, str], KpiObservation]:
    """(slug, group) -> the newest figure over the headline window that is about a moment until then."""
    windows = {definition.slug: headline(definition) for definition in definitions}
    age = Window(
        RowNumber(), partition_by=["kpi", "window", "dims_key"], order_by=[F("timestamp").desc(), F("id").desc()]
    )
    rows = visible(KpiObservation.objects.current().rollups(), READER)
    rows = rows.filter(kpi__in=windows, timestamp__lte=until).annotate(age=age).filter(age=1)
    rows = rows.select_related("definition_version").defer("inputs", "metadata")
    return {(row.kpi_id, row.dims_key): row for row in rows if row.window == windows[row.kpi_id]}


def _rows_of(
    definition: KpiDefinition, rows: Mapping[tuple[str, str], KpiObservation], *, with_groups: bool
) -> list[tuple[str, KpiObservation | None]]:
    """The overall figure, and within the house those groups that have a target of their own."""
    found: list[tuple[str, KpiObservation | None]] = [("", rows.get((definition.slug, "")))]
    if not with_groups:
        return found
    named = {(key, getattr(target, key)) for target in definition.targets.all() for key in KEYS}
    for (slug, dims_key), row in sorted(rows.items()):
        is_judged = len(row.dims) == 1 and set(row.dims.items()) <= named
        if slug == definition.slug and dims_key and is_judged and not set(PERSONAL) & row.dims.keys():
            found.append((dims_key, row))
    return found


def _figure(
    definition: KpiDefinition,
    dims_key: str,
    row: KpiObservation | None,
    before: KpiObservation | None,
    standings: Standings,
) -> dict[str, Any]:
    targets: list[KpiTarget] = list(definition.targets.all())
    figure = renewed(row, standings) if row is not None else _missing(definition, standings)
    told = shown(figure, targets)
    return {
        "kpi": definition.slug,
        "name": definition.name,
        "version": row.definition_version.number if row else str(definition.current_version),
        "formula": definition.formula,
        "group": told.group,
        "scope": dims_key,
        "window": told.window,
        "value": figure.value,
        "units": definition.units,
        "said": told.value,
        "why": told.why,
        "n": figure.n,
        "median": figure.median,
        "p90": figure.p90,
        "excluded": sum(figure.excluded.values()),
        "evidence": figure.evidence,
        "reasons": list(told.reasons),
        "target": told.target or told.goal,
        "state": told.state,
        "observation": row.pk if row else "",
        "revision": row.revision if row else None,
        "asOf": iso(row.timestamp) if row else None,
        "before": _before(before, row, targets),
    }


def _before(
    before: KpiObservation | None, row: KpiObservation | None, targets: list[KpiTarget]
) -> dict[str, Any] | None:
    """The figure at the beginning, where there is one and both are numbers of one definition version."""
    if before is None or row is None or before.pk == row.pk or before.value is None or row.value is None:
        return None
    if before.definition_version.version != row.definition_version.version:
        return None
    return {"said": shown(before, targets).value, "value": before.value, "n": before.n, "observation": before.pk}


def _missing(definition: KpiDefinition, standings: Standings) -> KpiObservation:
    why, verdict = standings.nothing(definition, "not_computed")
    return KpiObservation(
        kpi=definition, window=headline(definition), reason=why, units=definition.units,
        evidence=verdict.label, evidence_reasons=[asdict(reason) for reason in verdict.reasons],
    )  # fmt: skip


def _incidents(begin: datetime, end: datetime) -> dict[str, Any]:
    """How many began and ended in that time. Restricted ones, drills and tests are in no count."""
    rows = visible(Incident.objects.filter(kind__in=COUNTED), READER)
    began = Q(detected_at__gte=begin, detected_at__lt=end)
    ended = Q(resolved_at__gte=begin, resolved_at__lt=end)
    counts = {
        severity: (opened, resolved)
        for severity, opened, resolved in rows.order_by()
        .values_list("severity")
        .annotate(opened=Count("pk", filter=began), resolved=Count("pk", filter=ended))
    }
    lines = [
        {"severity": severity, "name": severity.label, "began": counts[severity][0], "resolved": counts[severity][1]}
        for severity in Severity
        if severity in counts
    ]
    return {
        "began": sum(line["began"] for line in lines),
        "resolved": sum(line["resolved"] for line in lines),
        "by": lines,
    }


def _alerts(definitions: list[KpiDefinition], begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """The rules of these KPIs that fired, how often."""
    rows = AlertEvent.objects.filter(kind=Happening.FIRING.value, withdrawn_by=None, at__gte=begin, at__lt=end)
    rows = rows.filter(rule__kpi_slug__in=[definition.slug for definition in definitions])
    counted = (
        rows.order_by("rule__slug").values("rule__slug", "rule__name", "rule__kpi_slug").annotate(times=Count("pk"))
    )
    return [
        {"rule": row["rule__slug"], "name": row["rule__name"], "kpi": row["rule__kpi_slug"], "times": row["times"]}
        for row in counted
    ]


def _counts(figures: list[dict[str, Any]]) -> dict[str, int]:
    """Of the figures with a target; one without a value is unknown, neither met nor missed."""
    found = {"met": 0, "at_risk": 0, "missed": 0, "unknown": 0}
    for figure in figures:
        if figure["state"]:
            found[figure["state"]] += 1
        elif figure["value"] is None:
            found["unknown"] += 1
    return found
