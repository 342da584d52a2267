"""How lists are read: filters that refuse what they do not know, and pages that never skip or repeat a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

import django_filters
from django import forms
from django.core import signing
from django.db.models import Field, Model, Q, QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema_field
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from majorops.lib.errors import DomainError, Invalid
from majorops.lib.fields import unknown
from majorops.lib.rest import EXCEL
from majorops.lib.times import parse_time

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
M = TypeVar("M", bound=Model)


class BadQuery(DomainError):
    """A parameter of this address cannot be used."""

    code = "bad_query"
    status = 400


# --- Filters ---

PAGE_PARAMETERS = frozenset({"limit", "cursor", EXCEL})


class StrictFilters(DjangoFilterBackend):
    """Refuses a parameter that is unknown, empty or given twice: a silent one answers another question."""

    def filter_queryset(self, request: Request, queryset: QuerySet[M], view: APIView) -> QuerySet[M]:
        filterset_class = self.get_filterset_class(view, queryset)
        check_query(request, PAGE_PARAMETERS.union(filterset_class.base_filters if filterset_class else ()))
        filtered: QuerySet[M] = super().filter_queryset(request, queryset, view)
        return filtered


def check_query(request: Request, allowed: frozenset[str], *, what: str = "a parameter of this list") -> None:
    """Raises BadQuery for a parameter that is unknown, empty or given twice."""
    for name, values in request.query_params.lists():
        if name not in allowed:
            raise BadQuery(unknown(name, allowed, what=what), allowed=sorted(allowed))
        if len(values) > 1:
            raise BadQuery(f"{name} is given {len(values)} times. Separate several values by commas.", parameter=name)
        if not values[0]:
            raise BadQuery(f"{name} is empty. Leave it out, or give it a value.", parameter=name)


class FilterSet(django_filters.FilterSet):
    """Base of the API's filters. A wrong value is one clear sentence."""

    def is_valid(self) -> bool:
        if super().is_valid():
            return True
        name, messages = next(iter(self.errors.items()))
        raise BadQuery(f"{name}: {' '.join(messages)}", parameter=name)


class _Words(forms.Field):
    def __init__(self, *, words: Sequence[str], **kwargs: Any) -> None:
        self.words = {word.casefold(): word for word in words}
        super().__init__(**kwargs)

    def to_python(self, value: str | None) -> list[str]:
        found = []
        for word in (value or "").split(",") if value else ():
            if word.strip().casefold() not in self.words:
                raise forms.ValidationError(unknown(word, self.words.values(), what="known here"))
            found.append(self.words[word.strip().casefold()])
        return found


class AnyOf(django_filters.Filter):
    """`?status=active,monitoring`: one or several of a closed set, in any letter case."""

    field_class = _Words

    def __init__(self, field_name: str, words: Sequence[str], **kwargs: Any) -> None:
        super().__init__(field_name, lookup_expr="in", words=words, **kwargs)
        told = f"One or several, by commas, of: {', '.join(words)}."
        extend_schema_field({"type": "string", "description": told})(self)


class _Instant(forms.Field):
    def to_python(self, value: str | None) -> datetime | None:
        if not value:
            return None
        try:
            # The longest number of milliseconds that is a time has 13 digits.
            return parse_time(int(value) if value.isdecimal() and len(value) < 20 else value, field="This")
        except Invalid as error:
            raise forms.ValidationError(error.message) from None


class Moment(django_filters.Filter):
    """One side of a span of time."""

    field_class = _Instant

    def __init__(self, field_name: str, lookup_expr: str, *, told: str) -> None:
        super().__init__(field_name, lookup_expr)
        told += ": RFC 3339 or Unix milliseconds."
        extend_schema_field({"type": "string", "format": "date-time", "description": told})(self)


def between(column: str) -> dict[str, django_filters.Filter]:
    """The filters `from` (inclusive) and `to` (exclusive) on a time column, for `FilterSet.get_filters`."""
    return {
        "from": Moment(column, "gte", told="From this time on"),
        "to": Moment(column, "lt", told="Before this time"),
    }


# --- Pages ---


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one page and one more, which tells whether another page follows."""

    ordering: tuple[str, ...]
    limit: int
    #: The values of the row it goes on from.
    after: tuple[Any, ...] | None = None
    is_reverse: bool = False

    @property
    def columns(self) -> list[str]:
        return [name.lstrip("-") for name in self.ordering]

    def of(self, queryset: QuerySet[M]) -> QuerySet[M]:
        ordered = queryset.order_by(*self.ordering)
        if self.is_reverse:
            ordered = ordered.reverse()
        if self.after is not None:
            descending = self.ordering[0].startswith("-") != self.is_reverse
            ordered = ordered.filter(self._beyond(self.after, "lt" if descending else "gt"))
        return ordered[: self.limit + 1]

    def _beyond(self, after: Sequence[Any], lookup: str) -> Q:
        """(a, b) beyond (x, y): a beyond x, or a is x and b beyond y."""
        pairs = list(zip(self.columns, after, strict=True))
        branches = (
            Q(**dict(pairs[:place]), **{f"{column}__{lookup}": value}) for place, (column, value) in enumerate(pairs)
        )
        return reduce(or_, branches)


class NewestFirst(BasePagination):
    """Pages by the values of the last row shown, so that new rows and equal times shift nothing.

    `ordering` names columns of the model, all ascending or all descending, the last of them unique.
    """

    ordering: ClassVar[tuple[str, ...]] = ("-id",)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        window = self.window(request, queryset.model)
        return self.page(list(window.of(queryset)))

    def window(self, request: Request, model: type[Model]) -> Window:
        """Which rows of the model this request asks for. Raises BadQuery."""
        self.request, self.model = request, model
        # A cursor fits its own list only: a name is no time.
        self.salt = f"cursor:{model._meta.label}:{','.join(self.ordering)}"
        limit = self._limit(request)
        self.asked = Window(self.ordering, limit, *self._read(request.query_params.get("cursor")))
        return self.asked

    def page(self, rows: list[Any]) -> list[Any]:
        """Those of the window's rows that are shown, newest first. Rows are objects, or mappings by column."""
        limit, after, is_reverse = self.asked.limit, self.asked.after, self.asked.is_reverse
        has_more, rows = len(rows) > limit, rows[:limit]
        if is_reverse:
            rows.reverse()
        self.next = self._cursor(rows, -1) if rows and (has_more or is_reverse) else None
        self.previous = self._cursor(rows, 0, is_reverse=True) if rows and (has_more if is_reverse else after) else None
        return rows

    def of_few(self, rows: Sequence[Mapping[str, Any]], key: str, request: Request) -> list[Mapping[str, Any]]:
        """A page of rows that were worked out, in their order. `key` names what tells them apart, by commas; it goes
        on after the row that the cursor names."""
        self.request, self.salt = request, f"cursor:few:{key}"
        limit = self._limit(request)
        after, is_reverse = self._read(request.query_params.get("cursor"))
        keys = [tuple(str(row[name]) for name in key.split(",")) for row in rows]
        at = keys.index(after) if after in keys else -1
        start = max(0, at - limit) if is_reverse else at + 1
        stop = at if is_reverse else start + limit
        page = list(rows[start:stop])
        last = start + len(page) - 1
        self.next = signing.dumps([0, *keys[last]], salt=self.salt) if page and last + 1 < len(rows) else None
        self.previous = signing.dumps([1, *keys[start]], salt=self.salt) if page and start > 0 else None
        return page

    def _limit(self, request: Request) -> int:
        if request.query_params.get(EXCEL, "1") != "1":
            raise BadQuery(f"{EXCEL} is 1, or left out.", parameter=EXCEL)
        text = request.query_params.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
            raise BadQuery(f"limit must be a number from 1 to {MAX_LIMIT}.", parameter="limit")
        return int(text)

    def _cursor(self, rows: Sequence[Any], place: int, *, is_reverse: bool = False) -> str:
        row: Any = SimpleNamespace(**rows[place]) if isinstance(rows[place], dict) else rows[place]
        fields = [cast("Field[Any, Any]", self.model._meta.get_field(name)) for name in self.asked.columns]
        return signing.dumps([int(is_reverse), *(field.value_to_string(row) for field in fields)], salt=self.salt)

    def _read(self, cursor: str | None) -> tuple[tuple[Any, ...] | None, bool]:
        if cursor is None:
            return None, False
        try:
            is_reverse, *values = signing.loads(cursor, salt=self.salt)
        except signing.BadSignature:
            raise BadQuery(
                "cursor is not one that this list gave. Start again without it.", parameter="cursor"
            ) from None
        return tuple(values), bool(is_reverse)

    def get_paginated_response(self, data: Any) -> Response:
        links = {"next": self._link(self.next), "previous": self._link(self.previous)}
        header = ", ".join(f'<{url}>; rel="{name}"' for name, url in links.items() if url)
        headers = {"Vary": "Accept", **({"Link": header} if header else {})}
        return Response({"results": data, **links, "next_cursor": self.next}, headers=headers)

    def _link(self, cursor: str | None) -> str | None:
        return cursor and replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    # --- As the schema tells it ---

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        return [
            {"name": "limit", "in": "query", "schema": limit, "description": "Rows on one page."},
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "`next_cursor` of the page before.",
            },
            {
                "name": EXCEL,
                "in": "query",
                "schema": {"type": "string", "enum": ["1"]},
                "description": "A CSV that Excel reads as UTF-8.",
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous", "next_cursor"],
            "properties": {
                "results": schema,
                "next": link,
                "previous": link,
                "next_cursor": {"type": ["string", "null"], "description": "Bare, for tools that cannot follow links."},
            },
        }
