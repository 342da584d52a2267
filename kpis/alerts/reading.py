"""How the alert rules stand, for pages, API, command line and monitors; and what a rule would have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.visibility import Viewer
from kpis.alerts.rules import OPEN, Course, Happening, NoData, Reading, State, Terms, fired, from_then_on, replay
from kpis.models import EVERYONE, AlertEvent, AlertRule, AlertStep, DefinitionStatus, KpiDefinition, KpiObservation
from kpis.reading import with_unit
from kpis.targets import Operator
from kpis.viewing import NO_WINDOW
from majorops.lib.visibility import visible

PREVIEW = timedelta(days=90)
SHOWN = 30
#: They say what was done, not how the rule stands.
ASIDE = (Happening.TOLD.value, Happening.WITHDRAWN.value)


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule, whether it can judge at all, and the state it is in."""

    rule: AlertRule
    definition: KpiDefinition | None
    state: State
    last: AlertEvent | None
    steps: tuple[AlertStep, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.rule.is_enabled and is_measured(self.definition)

    @property
    def word(self) -> str:
        """ok, pending, firing, acknowledged, resolved; or off, or proposed where nothing measures its KPI."""
        if not self.rule.is_enabled:
            return "off"
        return self.state.value if self.is_active else "proposed"

    @property
    def is_open(self) -> bool:
        return self.is_active and self.state in OPEN

    @property
    def may_acknowledge(self) -> bool:
        return self.is_active and self.state is State.FIRING

    @property
    def condition(self) -> str:
        return condition_of(self.rule, self.definition)

    @property
    def why_proposed(self) -> str:
        if self.definition is None:
            return f"There is no KPI {self.rule.kpi_slug} yet."
        return "" if is_measured(self.definition) else "Nothing measures this KPI yet."


def is_measured(definition: KpiDefinition | None) -> bool:
    """Whether figures come of it. A KPI of single people never raises an alert."""
    if definition is None or definition.is_personal:
        return False
    return definition.status == DefinitionStatus.ACTIVE and definition.spec is not None


def condition_of(rule: AlertRule, definition: KpiDefinition | None) -> str:
    """`< 40 points for 7 d`."""
    limit = with_unit(rule.value, definition.units if definition else "")
    held = f" for {in_words(rule.hold_minutes)}" if rule.hold_minutes else ""
    of = f"{rule.get_statistic_display()} " if rule.statistic else ""
    return f"{of}{Operator(rule.operator).label} {limit}{held}"


def misfits(rule: AlertRule) -> dict[str, str]:
    """What of the rule no figure of its KPI can ever meet, by field. A KPI that a pack may bring is not judged yet."""
    definition = KpiDefinition.objects.filter(pk=rule.kpi_slug).first()
    if definition is None:
        return {}
    spec, found = definition.spec or {}, {}
    windows, names = spec.get("windows") or [], spec.get("group_by") or []
    if rule.window and rule.window not in windows:
        there = f"It has: {', '.join(windows)}." if windows else "It has none: leave this empty."
        found["window"] = f"{definition.slug} has no window {rule.window}. {there}"
    if rule.dims_key and sorted(pair.partition("=")[0] for pair in rule.dims_key.split(";")) != sorted(names):
        there = f"Write {';'.join(f'{name}=...' for name in sorted(names))}" if names else "Leave this empty"
        found["dims_key"] = f"{definition.slug} has no such group. {there}."
    return found


def in_words(minutes: int) -> str:
    """`7 d`, `4 h`, `15 min`."""
    for length, unit in ((24 * 60, "d"), (60, "h")):
        if minutes and minutes % length == 0:
            return f"{minutes // length} {unit}"
    return f"{minutes} min"


def terms_of(rule: AlertRule) -> Terms:
    return Terms(rule.operator, rule.value, timedelta(minutes=rule.hold_minutes), NoData(rule.no_data))


def standings(viewer: Viewer) -> list[Standing]:
    """Every rule the viewer may read, what fires first. Four queries."""
    rules = list(visible(AlertRule.objects.prefetch_related("steps"), viewer))
    known = {each.slug: each for each in visible(KpiDefinition.objects.all(), viewer)}
    newest = _newest(rules, viewer)
    found = [_standing(rule, known.get(rule.kpi_slug), newest) for rule in rules]
    return sorted(found, key=lambda each: (not each.is_open, not each.is_active, each.rule.severity, each.rule.slug))


def standing_of(rule: AlertRule, viewer: Viewer) -> Standing:
    definition = visible(KpiDefinition.objects.filter(pk=rule.kpi_slug), viewer).first()
    return _standing(rule, definition, _newest([rule], viewer))


def _standing(rule: AlertRule, definition: KpiDefinition | None, newest: Mapping[str, AlertEvent]) -> Standing:
    last = newest.get(rule.slug)
    return Standing(rule, definition, State(last.kind) if last else State.OK, last, tuple(rule.steps.all()))


def _newest(rules: list[AlertRule], viewer: Viewer) -> dict[str, AlertEvent]:
    """What each rule entered last and nothing has withdrawn, under the terms that hold now."""
    age = Window(RowNumber(), partition_by=["rule"], order_by=[F("at").desc(), F("id").desc()])
    rows = visible(AlertEvent.objects.filter(rule__in=rules, rule_version=F("rule__version")), viewer)
    rows = rows.exclude(kind__in=ASIDE).filter(withdrawn_by=None)
    return {row.rule_id: row for row in rows.select_related("by").annotate(age=age).filter(age=1)}


def history(viewer: Viewer, count: int = SHOWN) -> list[AlertEvent]:
    """What happened last, over all rules."""
    rows = visible(AlertEvent.objects.select_related("rule", "by"), viewer).exclude(kind=Happening.OK.value)
    return list(rows.order_by("-id")[:count])


# --- Replaying ---


def readings(rule: AlertRule, definition: KpiDefinition, begin: datetime, until: datetime) -> list[Reading]:
    """The current figures in that time, by time, and what was known last before it."""
    windows = (definition.spec or {}).get("windows") or [NO_WINDOW]
    rows = KpiObservation.objects.current().rollups().filter(
        kpi=definition, subject_key=EVERYONE, window=rule.window or windows[0], dims_key=rule.dims_key
    )  # fmt: skip
    inside = rows.filter(timestamp__gte=begin, timestamp__lte=until).order_by("timestamp")
    before = rows.filter(timestamp__lt=begin).order_by("-timestamp")[:1]
    return from_then_on([*_read(before, rule), *_read(inside, rule)], begin)


def _read(rows: QuerySet[KpiObservation], rule: AlertRule) -> list[Reading]:
    column = rule.statistic or "value"
    return [Reading(at, value, pk) for at, value, pk in rows.values_list("timestamp", column, "pk")]


def rehearsal(rule: AlertRule, definition: KpiDefinition | None, now: datetime) -> Course | None:
    """What the rule would have done in the last 90 days; None where nothing measures its KPI."""
    if definition is None or not is_measured(definition):
        return None
    return replay(terms_of(rule), readings(rule, definition, now - PREVIEW, now), now)


def preview(rule: AlertRule, now: datetime) -> str:
    """`It would have fired 2 times in the last 90 days, over 90 figures.`"""
    definition = KpiDefinition.objects.filter(pk=rule.kpi_slug).first()
    course = rehearsal(rule, definition, now)
    if definition is None:
        return f"There is no KPI {rule.kpi_slug} yet, so it would not have fired."
    if course is None:
        return "Nothing measures this KPI yet, so it would not have fired."
    says = rule.no_data != NoData.KEEP
    known = [each for each in readings(rule, definition, now - PREVIEW, now) if says or each.value is not None]
    if not known:
        return "There is no figure of the last 90 days to try it on."
    times = fired(course)
    return (
        f"It would have fired {times} time{'' if times == 1 else 's'} in the last 90 days, over {len(known)} "
        f"figure{'' if len(known) == 1 else 's'}."
    )
