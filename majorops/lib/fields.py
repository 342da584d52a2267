"""Serializers that speak the API's contract: camelCase names, strict types, no unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from django.db.models import Choices
from rest_framework import serializers
from rest_framework.request import Request

from majorops.lib.errors import DomainError, Invalid
from majorops.lib.problems import camel
from majorops.lib.text import clean_text
from majorops.lib.times import iso, parse_time

#: Longer than any report; what an input of a text field may hold unless it says less.
MAX_TEXT = 20_000


def unknown(name: str, known: Iterable[str], *, what: str) -> str:
    """The sentence for a name that is not one of `known`, with the one that was probably meant."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{name[:60]!a} is not {what}.{meant} Allowed: {', '.join(names) or 'none'}."


class Shown(serializers.Serializer[Any]):
    """What goes out. Fields are declared in snake_case and spelled in camelCase."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {camel(name): _from(name, field) for name, field in super().get_fields().items()}


def _from(name: str, field: Any) -> Any:
    if isinstance(field, serializers.SerializerMethodField):
        field.method_name = field.method_name or f"get_{name}"
    elif field.source is None and camel(name) != name:
        field.source = name
    return field


#: What the database gives for these is what the API shows.
AS_IT_IS = (serializers.CharField, serializers.IntegerField, serializers.BooleanField)


class Plan:
    """Shows rows as a serializer does, at a tenth of its price: no objects, each field's way decided beforehand.

    A row is a mapping by the fields' sources. What a serializer works out in a method, the row has ready under the
    field's name. Of the fields, only those of which the source is `seen`; a part of which nothing is seen is absent.
    """

    def __init__(self, serializer: type[Shown], seen: frozenset[str] | None = None) -> None:
        self.fields: list[tuple[str, str, Callable[[Any], Any] | None]] = []
        #: What a row must have, beside what it has ready.
        self.sources: list[str] = []
        for name, field in serializer().fields.items():
            if isinstance(field, Shown):
                if (part := Plan(type(field), seen)).fields:
                    self.fields.append((name, "*", part.show))
                    self.sources += part.sources
            elif isinstance(field, serializers.SerializerMethodField):
                self.fields.append((name, str(field.method_name).removeprefix("get_"), None))
            elif seen is None or field.source in seen:
                make = None if type(field) in AS_IT_IS else field.to_representation
                self.fields.append((name, str(field.source), make))
                self.sources.append(str(field.source))

    def show(self, row: Mapping[str, Any]) -> dict[str, Any]:
        shown = {}
        for name, source, make in self.fields:
            value = row if source == "*" else row[source]
            shown[name] = value if make is None or value is None else make(value)
        return shown


class LengthMissing(DomainError):
    """Send a Content-Length: a body in chunks of unknown length would be taken for an empty one."""

    code = "length_missing"
    status = 411


class Body(Shown):
    """What comes in. A key it does not know is refused, for a misspelt one would be silently ignored."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The checked body, by column names. Raises ValidationError, LengthMissing."""
        if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
            raise LengthMissing
        return cls.checked(request.data)

    @classmethod
    def checked(cls, told: object) -> dict[str, Any]:
        """What was told, by column names. Raises ValidationError."""
        body = cls(data=told)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            names = [name for name, field in self.fields.items() if not field.read_only]
            if strangers := [str(key) for key in data if key not in names]:
                raise serializers.ValidationError(
                    {key: [unknown(key, names, what="a field of this request")] for key in strangers}, "unknown_field"
                )
        return super().to_internal_value(data)


def _refuse(error: Invalid) -> NoReturn:
    raise serializers.ValidationError(error.message, error.code) from None


class Text(serializers.CharField):
    """A JSON string, without outer white space. A number is not a text."""

    def __init__(self, *, max_length: int = MAX_TEXT, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            return clean_text(data, field=self.field_name or "value", max_length=self.max_length or MAX_TEXT)
        except Invalid as error:
            _refuse(error)


class Time(serializers.DateTimeField):
    """An instant: RFC 3339 with a zone or Unix milliseconds in, UTC with milliseconds out."""

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return parse_time(value, field=self.field_name or "time")
        except Invalid as error:
            _refuse(error)

    def to_representation(self, value: datetime) -> str:
        return str(iso(value))


class Whole(serializers.IntegerField):
    """A JSON number without a fraction; not a text, not true."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    """A JSON number; not a text, not true."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(data)


def by_label(choice: Any) -> str:
    return str(choice.label)


def by_value(choice: Any) -> str:
    return str(choice.value)


class OneOf(serializers.ChoiceField):
    """One of a closed set. Shown by its label or value; read by either, in any letter case."""

    def __init__(self, choices: Iterable[Choices], *, shown: Callable[[Any], str] = by_label, **kwargs: Any) -> None:
        choices = list(choices)
        self.shown = {choice.value: shown(choice) for choice in choices}
        self.read = {
            spelling.casefold(): choice.value
            for choice in choices
            for spelling in (shown(choice), str(choice.value), str(choice.label))
        }
        super().__init__(choices=list(self.shown.values()), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        found = self.read.get(data.strip().casefold()) if isinstance(data, str) else None
        if found is None:
            raise serializers.ValidationError(
                f"This must be one of {', '.join(self.shown.values())}.", "invalid_choice"
            )
        return found

    def to_representation(self, value: Any) -> Any:
        return self.shown.get(value)
