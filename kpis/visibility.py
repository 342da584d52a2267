"""Who sees which KPIs and figures (decisions D13, D23).

Executive KPIs are for executives, and for stakeholders where the definition says so; internal ones for those who
command, and what they tell of a team for its own members. A figure of a single person is shown to nobody here,
administrators included.
"""

from __future__ import annotations

from django.db.models import Exists, Model, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.lookups import In

from accounts.models import User
from accounts.principals import Service
from accounts.roles import Can
from accounts.visibility import administrators, for_administrators, may
from incidents.models import Incident
from incidents.viewing import called, reads_restricted
from kpis.models import (
    AlertEvent,
    AlertRule,
    AlertStep,
    CreditSetting,
    Decision,
    DefinitionStatus,
    DispatchHistogram,
    DispatchTime,
    Fact,
    FactKind,
    FactKindVersion,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiDraft,
    KpiObservation,
    KpiReview,
    KpiRun,
    KpiTarget,
    KpiVisibility,
    PackInstall,
    ParkedFact,
    PersonalGrant,
    Report,
    Subject,
    SubjectType,
)
from majorops.lib.visibility import NONE, Fields, Rows, Sight, columns, visible
from teams.models import Membership

#: An aggregate of fewer values would tell what one team, or one person on it, did.
SMALLEST_GROUP = 3
#: The groups of a rollup that name a team (kpis/compute/drafts.py, dims_key).
#: Internal KPIs that tell what each team did. A formula groups by four fields at most.
_BY_TEAM = Q(visibility=KpiVisibility.INTERNAL) & (
    Q(spec__group_by__0="team") | Q(spec__group_by__1="team") | Q(spec__group_by__2="team")
    | Q(spec__group_by__3="team")
)  # fmt: skip
#: The class of a team's dispatch credit is for executives too: it stands for the whole team, never for one incident.
_CLASS = "dispatch_credit"
_OF_A_TEAM = Q(dims_key__startswith="team=") | Q(dims_key__contains=";team=")
_DEFINITION = columns(KpiDefinition) - {"created_at"}
_FIGURE = columns(KpiObservation) - {"metadata", "inputs", "inputs_sha256", "result_sha256", "run"}


def _definitions(rows: QuerySet[KpiDefinition], viewer: object) -> QuerySet[KpiDefinition]:
    """Drafts are for those who define. A program without a scope for KPIs sees none."""
    if not may(viewer, Can.READ_INCIDENTS) or (isinstance(viewer, Service) and not viewer.can(Can.READ_EXEC_KPIS)):
        return rows.none()
    if not may(viewer, Can.DEFINE_KPIS):
        rows = rows.exclude(status=DefinitionStatus.DRAFT)
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    executive = Q(visibility=KpiVisibility.EXEC)
    if not may(viewer, Can.READ_EXEC_KPIS):
        executive &= Q(stakeholder_visible=True)
    else:
        executive |= Q(spec__calc__name=_CLASS)
    return rows.filter(executive | (_BY_TEAM & _is_on_a_team(viewer)), is_personal=False)


def _is_on_a_team(viewer: object) -> Q:
    """True for every row or for none."""
    teams = Membership.objects.filter(user=viewer) if isinstance(viewer, User) else Membership.objects.none()
    return Q(Exists(teams))


def _of_own_team(viewer: object) -> Q:
    """Figures about a team that the viewer is on: its own members read them (D13)."""
    if not isinstance(viewer, User):
        return Q(pk__in=())
    own = Membership.objects.filter(user=viewer).values("team__slug")
    return Q(In(KT("dims__team"), own)) & (_OF_A_TEAM | Q(subject_type="team_page"))


def sees_own_team_only(viewer: object, definition: KpiDefinition) -> bool:
    """Whether the viewer sees of this KPI what concerns their own team, and nothing of the whole."""
    if may(viewer, Can.READ_INTERNAL_KPIS) or definition.visibility != KpiVisibility.INTERNAL:
        return False
    is_class = ((definition.spec or {}).get("calc") or {}).get("name") == _CLASS
    return not (is_class and may(viewer, Can.READ_EXEC_KPIS))


def _of_visible_definition(rows: QuerySet[KpiTarget], viewer: object) -> QuerySet[KpiTarget]:
    return rows.filter(definition__in=visible(KpiDefinition.objects.order_by(), viewer))


def _versions(rows: QuerySet[KpiDefinitionVersion], viewer: object) -> QuerySet[KpiDefinitionVersion]:
    """Those written while the definition was for this viewer's eyes: it may have been internal before."""
    rows = rows.filter(definition__in=visible(KpiDefinition.objects.order_by(), viewer))
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    rows = rows.filter(snapshot__visibility=KpiVisibility.EXEC)
    return rows if may(viewer, Can.READ_EXEC_KPIS) else rows.filter(snapshot__stakeholder_visible=True)


def _reviews(rows: QuerySet[KpiReview], viewer: object) -> QuerySet[KpiReview]:
    """Who looked at it and what they noted is internal, even of an executive KPI."""
    if not may(viewer, Can.READ_INTERNAL_KPIS):
        return rows.none()
    return rows.filter(definition__in=visible(KpiDefinition.objects.order_by(), viewer))


def _observations(rows: QuerySet[KpiObservation], viewer: object) -> QuerySet[KpiObservation]:
    """Of visible KPIs and incidents. What tells about one team is for readers of team response.

    Rollups leave restricted incidents out (kpis/sources.py), so they are the same for every reader.
    """
    rows = rows.filter(kpi__in=visible(KpiDefinition.objects.order_by(), viewer), kpi__is_personal=False)
    if not reads_restricted(viewer):
        rows = rows.filter(Q(incident=None) | Q(incident__in=visible(Incident.objects.order_by(), viewer)))
    own = _of_own_team(viewer)
    if not may(viewer, Can.READ_INTERNAL_KPIS):
        # An internal definition is visible to them as members of a team: of it they read what their team did.
        # The class of a team is for executives too.
        classes = Q(kpi__spec__calc__name=_CLASS) if may(viewer, Can.READ_EXEC_KPIS) else Q(pk__in=())
        rows = rows.filter(Q(kpi__visibility=KpiVisibility.EXEC) | classes | own)
    if may(viewer, Can.READ_TEAMS):
        return rows
    rows = rows.filter(~Q(subject_type="team_page") | called(viewer, "incident"))
    small = _OF_A_TEAM & Q(n__lt=SMALLEST_GROUP) if may(viewer, Can.READ_EXEC_KPIS) else _OF_A_TEAM
    return rows.filter(~small | own)


def _figure_fields(viewer: object, row: object) -> frozenset[str]:
    if may(viewer, Can.ADMINISTER):
        return columns(KpiObservation)
    return _FIGURE | {"metadata"} if may(viewer, Can.READ_INTERNAL_KPIS) else _FIGURE


def _times(rows: Rows, viewer: object) -> Rows:
    """For readers of team response. Restricted incidents are in neither table, and no person is."""
    return rows if may(viewer, Can.READ_TEAMS) else rows.none()


def _facts(rows: Rows, viewer: object) -> Rows:
    """Facts and decisions are what internal figures are made of: for those who read these."""
    return rows if may(viewer, Can.READ_INTERNAL_KPIS) else rows.none()


def _packs(rows: Rows, viewer: object) -> Rows:
    """For readers of executive KPIs: some of a pack are. Which of its KPIs they read, their definitions say."""
    return rows if may(viewer, Can.READ_EXEC_KPIS) else rows.none()


def _alert_rules(rows: QuerySet[AlertRule], viewer: object) -> QuerySet[AlertRule]:
    """Executives read those of executive KPIs as a whole; who reads internal figures reads all."""
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    if not may(viewer, Can.READ_EXEC_KPIS):
        return rows.none()
    known = visible(KpiDefinition.objects.order_by().filter(visibility=KpiVisibility.EXEC), viewer)
    return rows.filter(kpi_slug__in=known.values("slug"), dims_key="")


def _of_visible_rule(rows: Rows, viewer: object) -> Rows:
    return rows.filter(rule__in=visible(AlertRule.objects.order_by(), viewer))


def _step_fields(viewer: object, row: object) -> frozenset[str]:
    """Addresses are for administrators; everybody else reads who it is by their role."""
    return columns(AlertStep) if may(viewer, Can.ADMINISTER) else columns(AlertStep) - {"emails"}


def _reports(rows: QuerySet[Report], viewer: object) -> QuerySet[Report]:
    """By the audience it was made for. What the reader may not see of it any more is left out when it is shown."""
    if may(viewer, Can.READ_INTERNAL_KPIS):
        return rows
    return rows.filter(audience=KpiVisibility.EXEC) if may(viewer, Can.READ_EXEC_KPIS) else rows.none()


def _definers(rows: Rows, viewer: object) -> Rows:
    """All rows, for those who define KPIs."""
    return rows if may(viewer, Can.DEFINE_KPIS) else rows.none()


def _for_definers(model: type[Model]) -> Fields:
    return lambda viewer, row: columns(model) if may(viewer, Can.DEFINE_KPIS) else NONE


SIGHTS: dict[type[Model], Sight] = {
    AlertRule: Sight(_alert_rules, lambda viewer, row: columns(AlertRule), orders=frozenset({"slug"})),
    AlertStep: Sight(_of_visible_rule, _step_fields),
    AlertEvent: Sight(_of_visible_rule, lambda viewer, row: columns(AlertEvent), orders=frozenset({"id"})),
    Report: Sight(
        _reports,
        lambda viewer, row: columns(Report),
        filters=frozenset({"kind", "audience"}),
        orders=frozenset({"id"}),
    ),
    KpiDefinition: Sight(
        _definitions,
        lambda viewer, row: columns(KpiDefinition) if may(viewer, Can.DEFINE_KPIS) else _DEFINITION,
        filters=frozenset({"slug", "visibility", "status", "owner"}),
        orders=frozenset({"slug"}),
        searches=frozenset({"name"}),
    ),
    KpiDefinitionVersion: Sight(
        _versions, lambda viewer, row: columns(KpiDefinitionVersion), orders=frozenset({"version"})
    ),
    KpiDraft: Sight(_definers, _for_definers(KpiDraft)),
    KpiReview: Sight(_reviews, lambda viewer, row: columns(KpiReview)),
    KpiTarget: Sight(_of_visible_definition, lambda viewer, row: columns(KpiTarget)),
    KpiObservation: Sight(
        _observations,
        _figure_fields,
        filters=frozenset({"kpi", "timestamp", "window", "dims_key", "is_current", "incident", "dims", "source"}),
        orders=frozenset({"timestamp", "id", "kpi"}),
    ),
    KpiRun: Sight(_definers, _for_definers(KpiRun)),
    CreditSetting: Sight(administrators, for_administrators(CreditSetting)),
    PersonalGrant: Sight(administrators, for_administrators(PersonalGrant)),
    DispatchTime: Sight(_times, lambda viewer, row: columns(DispatchTime) if may(viewer, Can.READ_TEAMS) else NONE),
    DispatchHistogram: Sight(
        _times, lambda viewer, row: columns(DispatchHistogram) if may(viewer, Can.READ_TEAMS) else NONE
    ),
    FactKind: Sight(_facts, lambda viewer, row: columns(FactKind)),
    FactKindVersion: Sight(_facts, lambda viewer, row: columns(FactKindVersion)),
    SubjectType: Sight(_facts, lambda viewer, row: columns(SubjectType)),
    Subject: Sight(_facts, lambda viewer, row: columns(Subject)),
    Fact: Sight(
        _facts,
        lambda viewer, row: columns(Fact),
        filters=frozenset({"kind", "subject_type", "subject_id", "source", "occurred_at"}),
        orders=frozenset({"id"}),
    ),
    Decision: Sight(
        _facts,
        lambda viewer, row: columns(Decision),
        filters=frozenset({"scope", "action", "subject_type", "subject_id", "decided_at"}),
        orders=frozenset({"id"}),
    ),
    ParkedFact: Sight(administrators, for_administrators(ParkedFact)),
    PackInstall: Sight(_packs, lambda viewer, row: columns(PackInstall) if may(viewer, Can.READ_EXEC_KPIS) else NONE),
}
