"""RULES: what the fields of a fact may hold, and what a value is once it is accepted.

string     text of at most 1000 characters
person     text; an e-mail address is replaced by an alias
enum       one of the words that the kind names
int        a whole number; 5.0 and "5" are none
number     a finite number; true is none
bool       true or false
time       RFC 3339 with a zone, or Unix milliseconds; kept as UTC to the millisecond
duration   a number that is not negative, in the unit that the kind names
list       at most 100 texts or numbers; formulas do not read it
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kpis.formulas.language import FIELD_PATTERN, MICROSECONDS, FieldType
from majorops.lib.errors import Invalid
from majorops.lib.times import iso, parse_time

MAX_TEXT = 1000
MAX_ITEMS = 100
MAX_FIELDS = 40
#: Above it, two whole numbers are one for whoever reads JSON as floating point.
MAX_NUMBER = 2**53
#: PostgreSQL stores neither NUL nor half of a surrogate pair.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
KEY_PATTERN = FIELD_PATTERN
#: What every row of facts has; a payload has no field of such a name.
ENVELOPE: Mapping[str, FieldType] = {
    "id": FieldType.ID,
    "kind": FieldType.TEXT,
    "occurred_at": FieldType.TIME,
    "received_at": FieldType.TIME,
    "subject_type": FieldType.TEXT,
    "subject_id": FieldType.ID,
    "actor": FieldType.TEXT,
    "source": FieldType.TEXT,
    "request_id": FieldType.TEXT,
}
RESERVED = frozenset(
    {*ENVELOPE, "ref", "subject_key", "subject_open", "subject_closed_at", "confidence", "incident_id"}
)
Alias = Callable[[str], str]


class Type(StrEnum):
    STRING = "string"
    PERSON = "person"
    ENUM = "enum"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    DURATION = "duration"
    LIST = "list"


#: As formulas see them. A list is for people.
FORMULA_TYPES = {
    Type.STRING: FieldType.TEXT,
    Type.PERSON: FieldType.TEXT,
    Type.ENUM: FieldType.TEXT,
    Type.INT: FieldType.NUMBER,
    Type.NUMBER: FieldType.NUMBER,
    Type.BOOL: FieldType.BOOLEAN,
    Type.TIME: FieldType.TIME,
    Type.DURATION: FieldType.NUMBER,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind."""

    name: str
    type: Type
    required: bool = False
    enum: tuple[str, ...] = ()
    unit: str = ""
    description: str = ""

    def as_json(self) -> dict[str, object]:
        told: dict[str, object] = {"type": self.type.value}
        told |= {"required": True} if self.required else {}
        told |= {"enum": list(self.enum)} if self.enum else {}
        told |= {"unit": self.unit} if self.unit else {}
        return told | ({"description": self.description} if self.description else {})


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields that a payload may have, and no others."""

    fields: Mapping[str, Field]

    def named(self, *types: Type) -> tuple[str, ...]:
        return tuple(name for name, field in self.fields.items() if field.type in types)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(name for name, field in self.fields.items() if field.required)

    @property
    def shape(self) -> dict[str, FieldType]:
        return {name: FORMULA_TYPES[field.type] for name, field in self.fields.items() if field.type in FORMULA_TYPES}

    def as_json(self) -> dict[str, object]:
        return {name: field.as_json() for name, field in self.fields.items()}


def parse_schema(stated: object, *, reserved: frozenset[str] = RESERVED) -> Schema:
    """The schema that JSON states. Raises Invalid that names the field."""
    if not isinstance(stated, Mapping):
        raise Invalid('Fields are a JSON object: {"outcome": {"type": "string"}}.', field="fields")
    if len(stated) > MAX_FIELDS:
        raise Invalid(f"At most {MAX_FIELDS} fields; here are {len(stated)}.", field="fields")
    return Schema({str(name): _field(str(name), about, reserved) for name, about in stated.items()})


def _field(name: str, about: object, reserved: frozenset[str]) -> Field:
    if not re.fullmatch(FIELD_PATTERN, name) or len(name) > 60:
        raise Invalid(f"{name[:60]!a} is no name: lower-case words joined by a single underscore.", field="fields")
    if name in reserved:
        raise Invalid(f"{name} is there in every fact already. Take another name.", field="fields")
    if not isinstance(about, Mapping) or not set(about) <= {"type", "required", "enum", "unit", "description"}:
        raise Invalid(f"{name}: say type, and required, enum, unit or description.", field="fields")
    try:
        type = Type(str(about.get("type")))
    except ValueError:
        raise Invalid(f"{name}: the type is one of {', '.join(Type)}.", field="fields") from None
    return _checked(
        Field(
            name,
            type,
            _flag(name, about.get("required", False)),
            _words(name, about.get("enum", ())),
            _text(name, about.get("unit", "")),
            _text(name, about.get("description", "")),
        )
    )


def _checked(field: Field) -> Field:
    if (field.type is Type.ENUM) != bool(field.enum):
        raise Invalid(f"{field.name}: enum goes with the type enum, and names its words.", field="fields")
    if field.type is Type.DURATION and field.unit not in MICROSECONDS:
        raise Invalid(f"{field.name}: a duration has a unit: {', '.join(MICROSECONDS)}.", field="fields")
    return field


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{name}: required is true or false.", field="fields")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 200 or UNSTORABLE.search(value):
        raise Invalid(f"{name}: unit and description are short texts.", field="fields")
    return value


def _words(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > 50 or len(set(map(str, value))) < len(value):
        raise Invalid(f"{name}: enum is a list of at most 50 different words.", field="fields")
    return tuple(_text(name, word) for word in value)


# --- Values ---


def clean_payload(payload: object, schema: Schema, alias: Alias) -> dict[str, object]:
    """The payload as it is stored: only what the kind knows, of the types it names. Raises Invalid.

    A field that is null is left out, so that "absent" has one form.
    """
    if not isinstance(payload, Mapping):
        raise Invalid("payload is a JSON object.", field="payload")
    cleaned: dict[str, object] = {}
    for name, value in payload.items():
        field = schema.fields.get(name)
        if field is None:
            known = ", ".join(schema.fields) or "none"
            raise Invalid(f"payload.{str(name)[:60]!a} is no field of this kind. It knows: {known}.", field="payload")
        if value is not None:
            cleaned[name] = clean_value(value, field, alias)
    for name in schema.required:
        if name not in cleaned:
            raise Invalid(f"payload.{name} is missing.", field="payload")
    return cleaned


def clean_value(value: object, field: Field, alias: Alias) -> object:
    """The value as it is stored. Raises Invalid."""
    match field.type:
        case Type.STRING | Type.ENUM | Type.PERSON:
            return _clean_word(value, field, alias)
        case Type.BOOL:
            return value if isinstance(value, bool) else _refuse(field, "true or false")
        case Type.INT:
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            return _clean_number(value, field) if is_whole else _refuse(field, "a whole number")
        case Type.NUMBER:
            return _clean_number(value, field)
        case Type.DURATION:
            number = _clean_number(value, field)
            return number if number >= 0 else _refuse(field, f"a duration in {field.unit}, not below 0")
        case Type.TIME:
            return iso(clean_time(value, f"payload.{field.name}"))
        case Type.LIST:
            return _clean_list(value, field)


def _refuse(field: Field, wanted: str) -> object:
    raise Invalid(f"payload.{field.name} must be {wanted}.", field="payload")


def _clean_word(value: object, field: Field, alias: Alias) -> object:
    if not isinstance(value, str):
        return _refuse(field, f"one of {', '.join(field.enum)}" if field.enum else "text")
    if len(value) > MAX_TEXT or UNSTORABLE.search(value):
        return _refuse(field, f"text of at most {MAX_TEXT} characters, without NUL or half a surrogate pair")
    if field.enum and value not in field.enum:
        return _refuse(field, f"one of {', '.join(field.enum)}")
    if EMAIL.fullmatch(value):
        if field.type is not Type.PERSON:
            return _refuse(field, "no e-mail address: send an alias, or declare the field as a person")
        return alias(value)
    return value


def _clean_number(value: object, field: Field) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or abs(value) > MAX_NUMBER:  # type: ignore[arg-type]
        _refuse(field, "a finite number, not beyond 2^53")
    return value  # type: ignore[return-value]


def clean_time(value: object, name: str) -> datetime:
    """The moment meant, to the millisecond. Raises Invalid."""
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise Invalid(f"{name} must be a time such as 2026-03-02T10:00:00Z.", field="payload")
    return parse_time(value, field=name)


def _clean_list(value: object, field: Field) -> object:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        return _refuse(field, f"a list of at most {MAX_ITEMS} items")
    item = Field(field.name, Type.STRING)
    for one in value:
        if isinstance(one, str):
            _clean_word(one, item, str)
        else:
            _clean_number(one, item)
    return value
