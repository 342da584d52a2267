"""Dispatch credit in words: a class, where it tends to, what would move it, and the rule that gives it."""

from __future__ import annotations

from dataclasses import dataclass

from kpis.credit_settings import LEVELS, InForce
from kpis.dispatch_credit import Credit, Level, Outcome, Settings, Trend
from kpis.readiness_rules import Moved, Outlook
from teams.alarm import AlarmLevel

LABELS = {choice.value: choice.label for choice in AlarmLevel}
UNKNOWN = "—"
TRENDS = {
    Trend.BETTER: ("↗", "better", "better"),
    Trend.WORSE: ("↘", "worse", "worse"),
    Trend.UNCLEAR: ("", "no clear change", ""),
    Trend.UNKNOWN: ("", "too few to tell", ""),
}
OUTCOMES = {
    Outcome.MET: ("in time", "good"),
    Outcome.MISSED: ("late", "bad"),
    Outcome.NO_SHOW: ("nobody came", "bad"),
}


def minutes(value: float | None) -> str:
    """`4.2 min`; a dash for none."""
    return UNKNOWN if value is None else f"{value:.1f} min"


def percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


@dataclass(frozen=True, slots=True)
class ClassShown:
    """`3` rated or provisional; without a class `building record (3/5)`, and never a number."""

    rating: int | None
    status: str
    points: str
    words: str


def class_shown(found: Credit, n: int, settings: Settings) -> ClassShown:
    points = UNKNOWN if found.points is None else f"{found.points:.2f}"
    if found.rating is None:
        return ClassShown(None, found.status, points, f"building record ({n}/{settings.min_provisional})")
    return ClassShown(found.rating, found.status, points, str(found.status))


WITHHELD = ClassShown(None, "withheld", UNKNOWN, "fewer than 3")


@dataclass(frozen=True, slots=True)
class TrendShown:
    arrow: str
    words: str
    sense: str


def trend_shown(moved: Moved) -> TrendShown:
    return TrendShown(*TRENDS[moved.trend])


def trend_in_words(moved: Moved) -> str:
    """`Last 30 days 9 of 10 (72 to 97 %), the 60 before 12 of 20 (46 to 73 %): no clear change.`"""
    told = []
    spans = (
        ("Last 30 days", moved.recent, moved.recent_interval),
        ("the 60 before", moved.before, moved.before_interval),
    )
    for name, counts, interval in spans:
        reach = f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)" if interval else ""
        told.append(f"{name} {counts.met} of {counts.n}{reach}")
    return f"{', '.join(told)}: {TRENDS[moved.trend][1]}."


def outlook_in_words(found: Outlook, level: Level) -> list[str]:
    ack = f" and acknowledge within {level.ack:g} min" if level.ack is not None else ""
    told = []
    if found.on_time is None:
        told.append("This is the best class. It lasts while the record does.")
    elif found.on_time.count is None:
        told.append(f"Class {found.goal} is farther away than a thousand dispatches in time.")
    else:
        many = "1 further dispatch" if found.on_time.count == 1 else f"{found.on_time.count} further dispatches"
        told.append(
            f"{many} that arrive within {level.arrival:g} min{ack}: class {found.on_time.rating} "
            f"({found.on_time.points:.2f} points)."
        )
    if found.acknowledged is not None:
        told.append(
            f"Had {found.acknowledged.count} more of these dispatches been acknowledged within {level.ack:g} min: "
            f"class {found.acknowledged.rating} ({found.acknowledged.points:.2f} points)."
            if found.acknowledged.count
            else "Acknowledging every one of these dispatches in time would not be enough on its own."
        )
    for name, step in (("One that comes late", found.late), ("One to which nobody comes", found.no_show)):
        leads = f"class {step.rating} ({step.points:.2f} points)" if step.rating else "still no class"
        told.append(f"{name}: {leads}.")
    return told


def rule_in_words(setting: InForce) -> list[str]:
    """What gives the class, with the numbers that hold."""
    rule = setting.settings
    ack = [f"{level.ack:g} min at {LABELS[name]}" for name, level in _levels(rule) if level.ack is not None]
    weights = ", ".join(f"{LABELS[name]} {level.weight:g}" for name, level in _levels(rule))
    return [
        f"{rule.arrival_points:g} points for the share that arrives within the limit: "
        + ", ".join(f"{level.arrival:g} min at {LABELS[name]}" for name, level in _levels(rule))
        + ".",
        f"{rule.ack_points:g} points for the share acknowledged within {', '.join(ack) or 'no limit'}. Scored from "
        f"{rule.min_acks} acknowledgements and {100 * rule.min_ack_coverage:.0f} % of the dispatches on; else the rest "
        "makes up the hundred.",
        f"{rule.tail_points:g} points for the slowest tenth: all where nine in ten arrive within the limit, none where "
        "one in ten is never answered.",
        f"A share counts as the lower end of what chance allows (Wilson, z = {rule.z:.4g}): three perfect dispatches "
        "are no better proof than they are.",
        f"Each ten points are a class: 90 and more is class 1, below 10 is class 10. Fewer than {rule.min_provisional} "
        f"judged dispatches give no class, fewer than {rule.min_rated} a provisional one.",
        f"Whoever has not come after {rule.patience:g} times the limit, or when the incident is over, is counted as "
        "not come. Stood down before the limit counts neither way.",
        f"The class of a team weighs its rated levels ({weights}). It needs a rated Box 3 or Box 2, and is never "
        "better than that of Box 3.",
        "Drills, void dispatches and those of restricted incidents are left out for every reader.",
    ]


def _levels(rule: Settings) -> list[tuple[str, Level]]:
    return [(name, rule.levels[name]) for name in LEVELS]
