"""What a formula may compute: nine kinds, and the envelope around them. Names and types are checked in checks.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Discriminator, Field, StrictBool, StrictFloat, StrictInt, Tag

from kpis.formulas.language import (
    Conditions,
    DurationUnit,
    FieldName,
    FieldNames,
    FieldRef,
    FieldType,
    Members,
    Minus,
    Model,
    Percentile,
    Period,
    Rows,
    Slug,
    UnitName,
    Window,
    json_type,
)

COUNTS = ("count", "count_distinct")

AggName = Literal["count", "count_distinct", "sum", "avg", "min", "max", "median", "first", "last"]
Agg = Annotated[Annotated[AggName, Tag("<plain>")] | Annotated[Percentile, Tag("<object>")], Discriminator(json_type)]
DurationAgg = Annotated[
    Annotated[Literal["avg", "median", "min", "max", "sum"], Tag("<plain>")] | Annotated[Percentile, Tag("<object>")],
    Discriminator(json_type),
]
Value = Annotated[Annotated[FieldName, Tag("<plain>")] | Annotated[Minus, Tag("<object>")], Discriminator(json_type)]

# Days, when a field says it.
Length = Annotated[Annotated[Period, Tag("<plain>")] | Annotated[FieldRef, Tag("<object>")], Discriminator(json_type)]
Pairs = Annotated[tuple[tuple[FieldName, FieldName], ...], Field(min_length=1, max_length=4)]


class Aggregate(Model):
    """One pass over rows. `per`/`then`: aggregate each group, then the groups. `every`: so many per period."""

    kind: Literal["aggregate"]
    rows: Rows
    value: Value | None = None
    agg: Agg
    per: FieldNames = ()
    then: Literal["count", "sum", "avg", "min", "max", "median"] | None = None
    every: Period | None = None


class Ratio(Model):
    """The share of judged rows that meet `hit`, or one sum over another (`num` over `of`)."""

    kind: Literal["ratio"]
    of: Rows
    judge: Conditions = ()
    hit: Conditions = ()
    num: Rows | None = None
    num_value: FieldName | None = None
    of_value: FieldName | None = None
    complement: StrictBool = False


class Start(Model):
    rows: Rows
    pick: Literal["first", "last", "each"] = "first"


class End(Model):
    """`first` is the absolute first: before the start it makes the span invalid, and no later one replaces it."""

    rows: Rows
    pick: Literal["first", "last", "first_after"] = "first"


class Interval(Model):
    """The time from a starting row to the ending row with the same keys."""

    kind: Literal["interval"]
    start: Start
    end: End
    on: Pairs
    unit: DurationUnit
    agg: DurationAgg
    within: Period | None = None
    negative: Literal["reject", "keep"] = "reject"


class Conversion(Model):
    """The share of base rows that a converting row follows within a time. `entity`: one per key, or each row."""

    kind: Literal["conversion"]
    base: Rows
    convert: Rows
    on: Pairs
    within: Length
    entity: Literal["first", "each"] = "first"
    open: Literal["exclude"] = "exclude"


class Recency(Model):
    """The share of the universe whose newest event is not older than `max_age`."""

    kind: Literal["recency"]
    universe: Members
    event: Rows
    on: Pairs
    max_age: Length


class Part(Model):
    """Another KPI on a scale: `worst` counts 0, `best` 100, and what lies beyond counts as its end."""

    kpi: Slug
    weight: Annotated[StrictInt | StrictFloat, Field(gt=0, le=1)]
    worst: StrictInt | StrictFloat = 0
    best: StrictInt | StrictFloat = 100


class Composite(Model):
    """The weighted mean of other KPIs, from 0 to 100. `min_weight`: how much must be known to stand for the rest."""

    kind: Literal["composite"]
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=20)]
    missing: Literal["null", "renormalise"] = "null"
    min_weight: Annotated[StrictInt | StrictFloat, Field(gt=0, le=1)] | None = None


class KpiRef(Model):
    """The headline figure of another KPI, now or some time before."""

    kpi: Slug
    shift: Period | None = None


class Operation(Model):
    """One step of arithmetic. A tree of these is the whole calculation; there is no text to run."""

    op: Literal["add", "sub", "mul", "div", "min", "max"]
    args: Annotated[tuple[Expression, ...], Field(min_length=2, max_length=10)]


def _expression_type(value: object) -> str:
    if isinstance(value, KpiRef) or (isinstance(value, dict) and "kpi" in value):
        return "<kpi>"
    return "<operation>" if isinstance(value, dict | BaseModel) else "<number>"


Expression = Annotated[
    Annotated[StrictInt | StrictFloat, Tag("<number>")]
    | Annotated[KpiRef, Tag("<kpi>")]
    | Annotated[Operation, Tag("<operation>")],
    Discriminator(_expression_type),
]
Operation.model_rebuild()


class Derived(Model):
    """Arithmetic over other KPIs."""

    kind: Literal["derived"]
    expr: Expression


class Reported(Model):
    """Nothing is computed: the value is only ever stated by people or other systems."""

    kind: Literal["reported"]


class DispatchParams(Model):
    """From how many dispatches on a team has a class, first a provisional one."""

    min_rated: Annotated[StrictInt, Field(ge=1, le=1000)] = 10
    min_provisional: Annotated[StrictInt, Field(ge=1, le=1000)] = 5


class Builtin(Model):
    """A calculation that is kept in code, because it should not be arithmetic in a form."""

    kind: Literal["builtin"]
    name: Literal["dispatch_credit"]
    version: Annotated[StrictInt, Field(ge=1, le=1)]
    params: DispatchParams = DispatchParams()

    @property
    def rows(self) -> Rows:
        return Rows(source="team_pages", at="paged_at")

    @property
    def reads(self) -> dict[str, FieldType]:
        """The fields of `rows` that the code relies on."""
        times = ("paged_at", "acknowledged_at", "arrived_at", "cancelled_at")
        return {"alarm_level": FieldType.TEXT, "incident_kind": FieldType.TEXT, **dict.fromkeys(times, FieldType.TIME)}


Calc = Annotated[
    Aggregate | Ratio | Interval | Conversion | Recency | Composite | Derived | Reported | Builtin,
    Field(discriminator="kind"),
]


class Formula(Model):
    """A whole definition. The first window is the headline; `subject` is what a stored sample is about."""

    schema_: Literal["majorops.kpi/1"] = Field(alias="schema")
    subject: FieldName | None = None
    group_by: FieldNames = ()
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=4)]
    unit: UnitName
    calc: Calc

    @property
    def base(self) -> Members | None:
        """The rows that give a figure its groups and its subject; None when it reads no rows."""
        match self.calc:
            case (
                Aggregate(rows=rows)
                | Builtin(rows=rows)
                | Ratio(of=rows)
                | Conversion(base=rows)
                | Recency(universe=rows)
            ):
                return rows
            case Interval(start=start):
                return start.rows
        return None

    @property
    def duration_unit(self) -> str | None:
        """The unit of time the figure is in, or None when it is no length of time."""
        if isinstance(self.calc, Interval):
            return self.calc.unit
        value = self.calc.value if isinstance(self.calc, Aggregate) else None
        return value.unit if isinstance(value, Minus) else None
