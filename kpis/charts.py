"""RULES: where the parts of a chart lie. Pure; the SVG is written by a template, its colours by the stylesheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kpis.trends import Limits

#: Room for the labels left and below, in the units of the view box.
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 28
#: More room on the right where a target is written there, beside its line and beyond every other.
BESIDE = 96


@dataclass(frozen=True, slots=True)
class Plot:
    """What a chart shows. None in a series is a gap: the line breaks there."""

    labels: Sequence[str]
    values: Sequence[float | None]
    medians: Sequence[float | None] = ()
    p90s: Sequence[float | None] = ()
    #: The target, and on which side of it a value is good: "below", "above" or "".
    target: float | None = None
    good: str = ""
    limits: Limits | None = None
    #: Which points missed the target.
    missed: Sequence[bool] = ()
    #: The most there can be, e.g. 100 percent: the axis ends there.
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    label: str
    is_missed: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the chart, or a label on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart: numbers for the template."""

    width: int
    height: int
    left: float
    right: float
    bottom: float
    lines: tuple[str, ...]
    medians: tuple[str, ...]
    p90s: tuple[str, ...]
    dots: tuple[Dot, ...]
    band: Box | None
    target: Mark | None
    limits: tuple[Mark, ...]
    grid: tuple[Mark, ...]
    ticks: tuple[Mark, ...]

    @property
    def is_empty(self) -> bool:
        return not self.dots


def run_chart(plot: Plot, *, width: int = 860, height: int = 240) -> Chart:
    """The line over time with target band, companions and limits."""
    scale = _Scale.of(plot, width, height)
    return Chart(
        width=width,
        height=height,
        left=LEFT,
        right=scale.right,
        bottom=height - BOTTOM,
        lines=_lines(plot.values, scale),
        medians=_lines(plot.medians, scale),
        p90s=_lines(plot.p90s, scale),
        dots=_dots(plot, scale),
        band=_band(plot, scale),
        target=Mark(scale.y(plot.target), f"{plot.target:g}") if plot.target is not None else None,
        limits=_limit_marks(plot.limits, scale),
        grid=tuple(Mark(scale.y(tick), f"{tick:g}") for tick in scale.ticks),
        ticks=_every(plot.labels, scale, 6),
    )


def sparkline(values: Sequence[float | None], *, width: int = 220, height: int = 44) -> Chart:
    """The line alone, without axes."""
    plot = Plot(labels=[""] * len(values), values=values)
    scale = _Scale.of(plot, width, height, edge=4)
    dots = _dots(plot, scale)
    return Chart(
        width, height, 0, width, height, _lines(values, scale), (), (), dots[-1:], None, None, (), (), ()
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    """From (place, value) to (x, y), rounded to a tenth: enough for any screen, and the same on every machine."""

    count: int
    low: float
    high: float
    left: float
    right: float
    top: float
    bottom: float
    step: float

    @classmethod
    def of(cls, plot: Plot, width: int, height: int, edge: float | None = None) -> _Scale:
        """A scale from 0 where nothing lies below it, in round steps."""
        known = [value for series in (plot.values, plot.medians, plot.p90s) for value in series if value is not None]
        known += [plot.target] if plot.target is not None else []
        known += [plot.limits.low, plot.limits.high] if plot.limits else []
        low, high = min([0.0, *known]), max(known, default=1.0)
        step = _round_step((high - low) / 4 or 1.0)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        beside = RIGHT if plot.target is None else BESIDE
        left, right, top, bottom = (LEFT, beside, TOP, BOTTOM) if edge is None else (edge, edge, edge, edge)
        high = min(high, plot.most) if plot.most >= max(known, default=0.0) else high
        high = high if high > low else low + step
        return cls(len(plot.values), low, high, left, width - right, top, height - bottom, step)

    def x(self, place: int) -> float:
        return round(self.left + (self.right - self.left) * (place + 0.5) / max(self.count, 1), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.bottom - (self.bottom - self.top) * min(1.0, max(0.0, share)), 1)

    @property
    def ticks(self) -> list[float]:
        count = math.floor((self.high - self.low) / self.step + 1e-9)
        return [float(f"{self.low + self.step * number:.9g}") for number in range(count + 1)]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _lines(values: Sequence[float | None], scale: _Scale) -> tuple[str, ...]:
    """Polylines through neighbours; a gap ends one and begins the next. A lonely point is a dot, not a line."""
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{scale.x(place)},{scale.y(value)}")
    return tuple(" ".join(run) for run in runs if len(run) > 1)


def _dots(plot: Plot, scale: _Scale) -> tuple[Dot, ...]:
    missed = plot.missed or [False] * len(plot.values)
    return tuple(
        Dot(scale.x(place), scale.y(value), plot.labels[place], missed[place])
        for place, value in enumerate(plot.values)
        if value is not None
    )


def _band(plot: Plot, scale: _Scale) -> Box | None:
    """The good side of the target."""
    if plot.target is None or not plot.good:
        return None
    edge, end = scale.y(plot.target), scale.bottom if plot.good == "below" else scale.top
    return Box(scale.left, min(edge, end), round(scale.right - scale.left, 1), round(abs(end - edge), 1))


def _limit_marks(found: Limits | None, scale: _Scale) -> tuple[Mark, ...]:
    if found is None:
        return ()
    named = (("upper limit", found.high), ("mean", found.mean), ("lower limit", found.low))
    return tuple(Mark(scale.y(value), name) for name, value in named)


def _every(labels: Sequence[str], scale: _Scale, wanted: int) -> tuple[Mark, ...]:
    step = max(1, math.ceil(len(labels) / wanted))
    return tuple(Mark(scale.x(place), label) for place, label in enumerate(labels) if place % step == 0)
