"""KPI definitions with their versions and targets, and the observations made of them."""

from kpis.models.alerts import AlertEvent, AlertRule, AlertStep
from kpis.models.credit import CreditSetting
from kpis.models.definitions import (
    CADENCE_DAYS,
    DefinitionQuerySet,
    DefinitionStatus,
    KpiDefinition,
    KpiDefinitionVersion,
    KpiDraft,
    KpiReview,
    KpiVisibility,
    ReviewCadence,
)
from kpis.models.facts import (
    Decision,
    Fact,
    FactKind,
    FactKindVersion,
    FactQuerySet,
    KindStatus,
    OnFirstSight,
    ParkedFact,
    ParkedOutcome,
    Subject,
    SubjectType,
)
from kpis.models.figures import (
    CLAIMS,
    EVERYONE,
    KpiObservation,
    KpiRun,
    ObservationQuerySet,
    ObservationSource,
    RunOutcome,
)
from kpis.models.histograms import DispatchHistogram, DispatchTime
from kpis.models.packs import PackInstall
from kpis.models.personal import PersonalGrant
from kpis.models.reports import Report
from kpis.models.targets import KpiTarget

__all__ = [
    "CADENCE_DAYS",
    "CLAIMS",
    "EVERYONE",
    "AlertEvent",
    "AlertRule",
    "AlertStep",
    "CreditSetting",
    "Decision",
    "DefinitionQuerySet",
    "DefinitionStatus",
    "DispatchHistogram",
    "DispatchTime",
    "Fact",
    "FactKind",
    "FactKindVersion",
    "FactQuerySet",
    "KindStatus",
    "KpiDefinition",
    "KpiDefinitionVersion",
    "KpiDraft",
    "KpiObservation",
    "KpiReview",
    "KpiRun",
    "KpiTarget",
    "KpiVisibility",
    "ObservationQuerySet",
    "ObservationSource",
    "OnFirstSight",
    "PackInstall",
    "ParkedFact",
    "ParkedOutcome",
    "PersonalGrant",
    "Report",
    "ReviewCadence",
    "RunOutcome",
    "Subject",
    "SubjectType",
]
