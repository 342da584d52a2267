"""Who sees which KPIs and figures (decisions D13, D23).

Executive KPIs are for executives, and for stakeholders where the definition says so; internal ones for those who
command. A figure of a single person is shown to nobody here, administrators included.
"""

from __future__ import annotations

from django.db.models import Model, Q, QuerySet

from accounts.principals import Service
from accounts.roles import Can
from accounts.visibility import administrators, for_administrators, may
from incidents.models import Incident
from incidents.viewing import called, reads_restricted
from kpis.models import (
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiObservation,
    KpiRun,
    KpiTarget,
    KpiVisibility,
)
from majorops.lib.visibility import Sight, columns, visible

#: An aggregate of fewer values would tell what one team, or one person on it, did.
SMALLEST_GROUP = 3
#: The groups of a rollup that name a team (kpis/compute.py, Draft.dims_key).
_OF_A_TEAM = Q(dims_key__startswith="team=") | Q(dims_key__contains=";team=")
_DEFINITION = columns(KpiDefinition) - {"created_at"}
_FIGURE = columns(KpiObservation) - {"metadata", "inputs", "inputs_sha256", "result_sha256", "run"}


def _definitions(rows: QuerySet[KpiDefinition], viewer: object) -> QuerySet[KpiDefinition]:
    """Drafts are for administrators. A program without a scope for KPIs sees none."""
    if not may(viewer, Can.READ_INCIDENTS) or (isinstance(viewer, Service) and not viewer.can(Can.READ_EXEC_KPIS)):
        return rows.none()
    if not may(viewer, Can.ADMINISTER):
        rows = rows.exclude(status=DefinitionStatus.DRAFT)
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    executive = Q(visibility=KpiVisibility.EXEC)
    if not may(viewer, Can.READ_EXEC_KPIS):
        executive &= Q(stakeholder_visible=True)
    return rows.filter(executive, is_personal=False)


def _of_visible_definition(rows: QuerySet[KpiTarget], viewer: object) -> QuerySet[KpiTarget]:
    return rows.filter(definition__in=visible(KpiDefinition.objects.order_by(), viewer))


def _versions(rows: QuerySet[KpiDefinitionVersion], viewer: object) -> QuerySet[KpiDefinitionVersion]:
    """Those written while the definition was for this viewer's eyes: it may have been internal before."""
    rows = rows.filter(definition__in=visible(KpiDefinition.objects.order_by(), viewer))
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    rows = rows.filter(snapshot__visibility=KpiVisibility.EXEC)
    return rows if may(viewer, Can.READ_EXEC_KPIS) else rows.filter(snapshot__stakeholder_visible=True)


def _observations(rows: QuerySet[KpiObservation], viewer: object) -> QuerySet[KpiObservation]:
    """Of visible KPIs and incidents. What tells about one team is for readers of team response.

    Rollups leave restricted incidents out (kpis/sources.py), so they are the same for every reader.
    """
    rows = rows.filter(kpi__in=visible(KpiDefinition.objects.order_by(), viewer), kpi__is_personal=False)
    if not reads_restricted(viewer):
        rows = rows.filter(Q(incident=None) | Q(incident__in=visible(Incident.objects.order_by(), viewer)))
    if may(viewer, Can.READ_TEAMS):
        return rows
    rows = rows.filter(~Q(subject_type="team_page") | called(viewer, "incident"))
    hidden = _OF_A_TEAM & Q(n__lt=SMALLEST_GROUP) if may(viewer, Can.READ_EXEC_KPIS) else _OF_A_TEAM
    return rows.exclude(hidden)


def _figure_fields(viewer: object, row: object) -> frozenset[str]:
    if may(viewer, Can.ADMINISTER):
        return columns(KpiObservation)
    return _FIGURE | {"metadata"} if may(viewer, Can.READ_INTERNAL_KPIS) else _FIGURE


SIGHTS: dict[type[Model], Sight] = {
    KpiDefinition: Sight(
        _definitions,
        lambda viewer, row: columns(KpiDefinition) if may(viewer, Can.ADMINISTER) else _DEFINITION,
        filters=frozenset({"visibility", "status"}),
        orders=frozenset({"slug"}),
        searches=frozenset({"name"}),
    ),
    KpiDefinitionVersion: Sight(
        _versions, lambda viewer, row: columns(KpiDefinitionVersion), orders=frozenset({"version"})
    ),
    KpiTarget: Sight(_of_visible_definition, lambda viewer, row: columns(KpiTarget)),
    KpiObservation: Sight(
        _observations,
        _figure_fields,
        filters=frozenset({"kpi", "timestamp", "window", "dims_key", "is_current"}),
        orders=frozenset({"timestamp", "id", "kpi"}),
    ),
    KpiRun: Sight(administrators, for_administrators(KpiRun)),
}
