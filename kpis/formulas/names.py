"""Names resolve through the registered sources and nothing else, and what they hold fits its use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from kpis.formulas.kinds import Length, Pairs
from kpis.formulas.language import (
    AnyOf,
    Cond,
    FieldRef,
    FieldType,
    FormulaError,
    Members,
    Rows,
    SourceShape,
    did_you_mean,
    instant,
)

_EQUALITY = {"eq", "ne", "is_null", "not_null"}
_ORDERED = _EQUALITY | {"in", "not_in", "lt", "lte", "gt", "gte"}
_TEXTUAL = _EQUALITY | {"in", "not_in", "starts_with"}
_OPERATORS = {
    FieldType.ID: _TEXTUAL,
    FieldType.TEXT: _TEXTUAL,
    FieldType.NUMBER: _ORDERED,
    FieldType.TIME: _ORDERED,
    FieldType.BOOLEAN: _EQUALITY,
}
CONTENT = {
    FieldType.ID: "an id",
    FieldType.TEXT: "text",
    FieldType.NUMBER: "a number",
    FieldType.TIME: "a time",
    FieldType.BOOLEAN: "true or false",
}
TEXTS = (FieldType.ID, FieldType.TEXT)


@dataclass(frozen=True, slots=True)
class Names:
    """What the names in a formula may mean. Every method raises FormulaError at `path`."""

    sources: Mapping[str, SourceShape]

    def shape(self, rows: Members, path: str) -> SourceShape:
        if rows.source not in self.sources:
            why = f'There is no source "{rows.source}". {did_you_mean(rows.source, self.sources)}'
            raise FormulaError(f"{path}.source", why)
        return self.sources[rows.source]

    def type_of(self, rows: Members, field: str, path: str) -> FieldType:
        fields = self.sources[rows.source].fields
        if field not in fields:
            why = f'{rows.source} has no field "{field}". {did_you_mean(field, fields)}'
            raise FormulaError(path, why)
        return fields[field]

    def expect(self, rows: Members, field: str, path: str, *types: FieldType) -> None:
        found = self.type_of(rows, field, path)
        if found not in types:
            raise FormulaError(
                path, f"{field} holds {CONTENT[found]}; {' or '.join(CONTENT[one] for one in types)} is needed here."
            )

    def group(self, rows: Members, fields: tuple[str, ...], path: str) -> None:
        for index, field in enumerate(fields):
            self.expect(rows, field, f"{path}[{index}]", *TEXTS, FieldType.NUMBER, FieldType.BOOLEAN)
        if len(set(fields)) < len(fields):
            raise FormulaError(path, "Name each field once.")

    def rows(self, rows: Rows, path: str) -> None:
        shape = self.shape(rows, path)
        self.expect(rows, rows.at, f"{path}.at", FieldType.TIME)
        if rows.at not in shape.time_fields:
            why = f"{rows.at} cannot place a row in time. Allowed: {', '.join(shape.time_fields)}."
            raise FormulaError(f"{path}.at", why)
        self.group(rows, rows.latest_per, f"{path}.latest_per")
        self.conditions(rows, rows.where, f"{path}.where")

    def members(self, rows: Members, path: str) -> None:
        self.shape(rows, path)
        self.conditions(rows, rows.where, f"{path}.where")

    def pairs(self, left: Members, right: Members, on: Pairs, path: str) -> None:
        """Each pair of keys can be equal."""
        for index, (one, other) in enumerate(on):
            here = f"{path}[{index}]"
            types = self.type_of(left, one, f"{here}[0]"), self.type_of(right, other, f"{here}[1]")
            if types[0] != types[1] and not set(types) <= set(TEXTS):
                why = f"{one} holds {CONTENT[types[0]]} and {other} {CONTENT[types[1]]}: they never match."
                raise FormulaError(here, why)

    def length(self, rows: Members, length: Length, path: str) -> None:
        """A length of time that a field gives is a number of days."""
        if isinstance(length, FieldRef):
            self.expect(rows, length.field, f"{path}.field", FieldType.NUMBER)

    def conditions(self, rows: Members, conditions: tuple[Cond | AnyOf, ...], path: str) -> None:
        for index, condition in enumerate(conditions):
            here = f"{path}[{index}]"
            if isinstance(condition, AnyOf):
                self.conditions(rows, condition.any, f"{here}.any")
            else:
                self.condition(rows, condition, here)

    def condition(self, rows: Members, cond: Cond, path: str) -> None:
        left = self.type_of(rows, cond.field, f"{path}.field")
        if cond.op not in _OPERATORS[left]:
            allowed = ", ".join(sorted(_OPERATORS[left]))
            raise FormulaError(f"{path}.op", f"{cond.op} does not fit {CONTENT[left]}. Allowed: {allowed}.")
        if isinstance(cond.value, FieldRef):
            self._check_other_field(rows, cond, cond.value.field, f"{path}.value")
        else:
            _check_literal(cond, left, f"{path}.value")

    def _check_other_field(self, rows: Members, cond: Cond, other: str, path: str) -> None:
        left, right = self.type_of(rows, cond.field, path), self.type_of(rows, other, f"{path}.field")
        if cond.op not in ("eq", "ne", "lt", "lte", "gt", "gte"):
            raise FormulaError(path, f"{cond.op} compares with a written value, not with a field.")
        if left != right and not {left, right} <= set(TEXTS):
            raise FormulaError(
                f"{path}.field",
                f"{cond.field} holds {CONTENT[left]} and {other} {CONTENT[right]}: they do not compare.",
            )


def _check_literal(cond: Cond, left: FieldType, path: str) -> None:
    if cond.op in ("is_null", "not_null"):
        if cond.value is not None:
            raise FormulaError(path, f"{cond.op} takes no value.")
        return
    many = cond.op in ("in", "not_in")
    if many != isinstance(cond.value, tuple):
        raise FormulaError(path, f"{cond.op} takes {'a list of values' if many else 'one value'}.")
    for value in cond.value if isinstance(cond.value, tuple) else (cond.value,):
        if not _fits(value, left):
            hint = " Write 2026-03-02T10:00:00Z." if left is FieldType.TIME else ""
            hint = " Ask for an empty field with is_null." if value is None else hint
            raise FormulaError(path, f"{json.dumps(value)} is not {CONTENT[left]}, which {cond.field} holds.{hint}")


def _fits(value: object, left: FieldType) -> bool:
    match left:
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case FieldType.TIME:
            return isinstance(value, str) and instant(value) is not None
        case _:
            return isinstance(value, str) and value != ""
