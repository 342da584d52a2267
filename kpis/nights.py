"""All KPIs at once, for the nightly jobs: one that breaks does not keep the others from being computed."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from kpis.compute import Counts, nightly
from kpis.compute import verify as verify_one
from kpis.errors import NothingToVerify
from kpis.models import KpiDefinition
from majorops.lib.errors import DomainError

log = logging.getLogger(__name__)


class SomeKpisFailed(DomainError):
    """Some KPIs could not be computed."""

    code = "some_kpis_failed"


class SomeFiguresDiffer(DomainError):
    """Some stored figures are not what their rows say."""

    code = "some_figures_differ"


def compute(now: datetime) -> str:
    """The last days of every active KPI. Raises SomeKpisFailed, after the others."""
    total = Counts()
    count = _for_each(lambda definition: total.add(nightly(definition, now=now, days=settings.MAJOROPS_NIGHTLY_DAYS)))
    return f"{count} KPIs: {total.new} figures new, {total.changed} changed, {total.same} same."


def verify(dice: random.Random) -> str:
    """A past moment of every active KPI. Raises SomeFiguresDiffer or SomeKpisFailed, after the others."""
    differing: list[str] = []

    def look_again(definition: KpiDefinition) -> None:
        try:
            _, differences = verify_one(definition, dice=dice)
        except NothingToVerify:
            return
        if differences:
            differing.append(definition.slug)

    count = _for_each(look_again)
    if differing:
        raise SomeFiguresDiffer(f"Not what their rows say: {', '.join(differing)}. Look with: mim kpi verify")
    return f"{count} KPIs came out the same."


def _for_each(act: Callable[[KpiDefinition], None]) -> int:
    """Acts on every active KPI with a formula. How many there are."""
    failed: list[str] = []
    definitions = list(KpiDefinition.objects.computable())
    for definition in definitions:
        try:
            act(definition)
        except Exception:  # whatever is wrong with one, the others must be computed
            log.exception("KPI %s failed", definition.slug)
            failed.append(definition.slug)
    if failed:
        raise SomeKpisFailed(f"Failed: {', '.join(failed)}; the log says why. The others are done.")
    return len(definitions)
