"""Reports as a reader gets them: without what they may not see any more, and with what was computed anew since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.visibility import Viewer
from kpis.models import KpiDefinition, KpiObservation, Report
from kpis.reading import with_unit
from majorops.lib.visibility import visible


@dataclass(frozen=True, slots=True)
class Restated:
    """What a figure of a report is by now. `said` is a dash where it was taken back."""

    said: str
    revision: int | None
    observation: str


@dataclass(frozen=True, slots=True)
class Opened:
    """One report for one reader."""

    report: Report
    content: dict[str, Any]
    #: (kpi, scope) -> what it is now, where that differs.
    restated: Mapping[tuple[str, str], Restated]
    #: Figures that this reader may not see any more.
    hidden: int

    @property
    def figures(self) -> list[tuple[dict[str, Any], Restated | None]]:
        return [(each, self.restated.get((each["kpi"], each["scope"]))) for each in self.content["figures"]]


def reports_for(viewer: Viewer) -> list[Report]:
    """The newest first, without their content."""
    return list(visible(Report.objects.select_related("made_by").defer("content"), viewer).order_by("-id")[:100])


def opened(report: Report, viewer: Viewer) -> Opened:
    """Raises nothing: a definition that was made internal since takes its figures out of what is shown."""
    known = set(visible(KpiDefinition.objects.order_by(), viewer).values_list("slug", flat=True))
    figures = [each for each in report.content["figures"] if each["kpi"] in known]
    alerts = [each for each in report.content["alerts"] if each["kpi"] in known]
    content = {**report.content, "figures": figures, "alerts": alerts}
    return Opened(report, content, restatements(figures, viewer), len(report.content["figures"]) - len(figures))


def restatements(figures: list[dict[str, Any]], viewer: Viewer) -> dict[tuple[str, str], Restated]:
    """Which frozen figures are others by now, in two queries."""
    frozen = {each["observation"]: each for each in figures if each["observation"]}
    rows = visible(KpiObservation.objects.filter(pk__in=frozen), viewer).defer("inputs", "metadata")
    then = {_key(row): frozen[row.pk] for row in rows if not row.is_current}
    if not then:
        return {}
    kpis, times = {key[0] for key in then}, {key[4] for key in then}
    current = visible(KpiObservation.objects.current(), viewer).filter(kpi__in=kpis, timestamp__in=times)
    now = {_key(row): row for row in current.defer("inputs", "metadata")}
    return {
        (each["kpi"], each["scope"]): _restated(now.get(key), each)
        for key, each in then.items()
        if key not in now or now[key].value != each["value"]
    }


def _key(row: KpiObservation) -> tuple[Any, ...]:
    return row.kpi_id, row.subject_key, row.dims_key, row.window, row.timestamp


def _restated(row: KpiObservation | None, figure: Mapping[str, Any]) -> Restated:
    if row is None:
        return Restated(with_unit(None, figure["units"]), None, "")
    return Restated(with_unit(row.value, row.units), row.revision, row.pk)
