"""The words of `majorops.kpi/1`: names, periods, conditions, rows. What is computed from them is in kinds.py."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

# No "__" can match: Django reads it as a walk along a relation (user__password).
FIELD_PATTERN = r"^[a-z](_?[a-z0-9])*(\.[a-z](_?[a-z0-9])*)*$"
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
PERIOD_PATTERN = r"P[1-9][0-9]{0,3}[DW]|PT[1-9][0-9]{0,3}H"
WINDOW_PATTERN = rf"^(all|{PERIOD_PATTERN}|calendar-(day|week|month))$"

MICROSECONDS = {
    "ms": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}
SHARES = {"percent": 100, "ratio": 1}
RATES = {
    "per_hour": timedelta(hours=1),
    "per_day": timedelta(days=1),
    "per_week": timedelta(days=7),
    "per_month": timedelta(days=30),
}
CALENDAR_RATES = {"calendar-day": "per_day", "calendar-week": "per_week", "calendar-month": "per_month"}
KINDS = (
    "aggregate", "ratio", "interval", "conversion", "recency", "composite", "derived", "reported", "builtin",
)  # fmt: skip


class FieldType(StrEnum):
    """What a field of a source holds."""

    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class SourceShape:
    """What a formula may say about one source: its fields, and which of them can place a row in time (`at`).

    `subject` is what one stored sample over this source is about ("incident", "team_page"), or None.
    """

    name: str
    fields: Mapping[str, FieldType]
    time_fields: tuple[str, ...]
    subject: str | None = None


class FormulaError(ValueError):
    """The formula is refused. `path` says where (calc.rows.where[0].field), `message` what is allowed there."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def period(text: str) -> timedelta:
    """The length of P30D, P4W or PT24H; a day is 24 hours. ValueError for anything else."""
    if not re.fullmatch(PERIOD_PATTERN, text):
        raise ValueError(f'"{text}" is not a period; write P30D, P4W or PT24H.')
    unit = {"D": timedelta(days=1), "W": timedelta(weeks=1), "H": timedelta(hours=1)}[text[-1]]
    return int(re.sub(r"\D", "", text)) * unit


def instant(text: str) -> datetime | None:
    """The moment an ISO 8601 text with a zone names, or None."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


#: A message names so many; the list of all KPIs is a page of its own.
MAX_NAMED = 50


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    names = sorted(allowed)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{hint}Allowed: {', '.join(names[:MAX_NAMED]) or 'nothing'}{more}."


class Model(BaseModel):
    """A part of a formula: immutable, and without keys of its own invention."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_its_keys(cls, value: object) -> object:
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        for key in value if isinstance(value, Mapping) else ():
            if key not in allowed:
                why = f'There is no key "{key}" here. {did_you_mean(key, allowed)}'
                raise PydanticCustomError("unknown_key", "{why}", {"key": key, "why": why})
        return value


# The brackets keep a tag from being taken for a key when the path of an error is read.
def json_type(value: object) -> str:
    if isinstance(value, Mapping | BaseModel):
        return "<object>"
    return "<list>" if isinstance(value, list | tuple) else "<plain>"


def _condition_type(value: object) -> str:
    return "<any>" if isinstance(value, AnyOf) or (isinstance(value, Mapping) and "any" in value) else "<condition>"


FieldName = Annotated[str, StringConstraints(pattern=FIELD_PATTERN, max_length=80)]
FieldNames = Annotated[tuple[FieldName, ...], Field(max_length=4)]
SourceName = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Window = Annotated[str, StringConstraints(pattern=WINDOW_PATTERN)]
Period = Annotated[str, StringConstraints(pattern=rf"^({PERIOD_PATTERN})$")]
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN, max_length=64)]
UnitName = Annotated[str, StringConstraints(pattern=r"^[a-z](_?[a-z0-9])*$", max_length=32)]
DurationUnit = Literal["ms", "seconds", "minutes", "hours", "days"]
Operator = Literal["eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte", "is_null", "not_null", "starts_with"]
Scalar = StrictBool | StrictInt | StrictFloat | Annotated[str, StringConstraints(max_length=200)] | None


class FieldRef(Model):
    """The other side of a comparison, when that is a field of the same row."""

    field: FieldName


Operand = Annotated[
    Annotated[Scalar, Tag("<plain>")]
    | Annotated[FieldRef, Tag("<object>")]
    | Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=50), Tag("<list>")],
    Discriminator(json_type),
]


class Cond(Model):
    """One comparison. With an empty field it is false, save is_null."""

    field: FieldName
    op: Operator
    value: Operand = None


class AnyOf(Model):
    """At least one of these holds."""

    any: Annotated[tuple[Cond, ...], Field(min_length=2, max_length=10)]


Condition = Annotated[
    Annotated[Cond, Tag("<condition>")] | Annotated[AnyOf, Tag("<any>")], Discriminator(_condition_type)
]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=20)]


class Members(Model):
    """The rows of a source that stand for things, whenever they came to be."""

    source: SourceName
    where: Conditions = ()


class Rows(Members):
    """The rows of a source that count. `latest_per` keeps the newest row of each group, before `where` is asked."""

    at: FieldName
    latest_per: FieldNames = ()


class Minus(Model):
    """The time from the second field to the first, both in the same row."""

    minus: tuple[FieldName, FieldName]
    unit: DurationUnit

    @property
    def end(self) -> str:
        return self.minus[0]

    @property
    def start(self) -> str:
        return self.minus[1]


class Percentile(Model):
    p: Annotated[StrictInt | StrictFloat, Field(gt=0, lt=100)]
    method: Literal["cont", "disc"] = "cont"
