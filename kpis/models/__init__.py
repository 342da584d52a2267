"""KPI definitions with their versions and targets, and the observations made of them."""

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
from kpis.models.figures import (
    CLAIMS,
    EVERYONE,
    KpiObservation,
    KpiRun,
    ObservationQuerySet,
    ObservationSource,
    RunOutcome,
)
from kpis.models.targets import KpiTarget

__all__ = [
    "CADENCE_DAYS",
    "CLAIMS",
    "EVERYONE",
    "CreditSetting",
    "DefinitionQuerySet",
    "DefinitionStatus",
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
    "ReviewCadence",
    "RunOutcome",
]
