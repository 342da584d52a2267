"""The API's doors in and out: one strict JSON parser, one renderer, one handler for what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any

import orjson
from django.utils.functional import Promise
from drf_orjson_renderer.renderers import ORJSONRenderer
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from majorops.lib import safe_json, tables
from majorops.lib.times import iso

MAX_BYTES = 1024 * 1024
#: The parameter that begins a CSV with a byte order mark: without one, Excel takes UTF-8 for something else.
EXCEL = "excel"


class TooLarge(exceptions.APIException):
    status_code = 413
    default_detail = f"The body is larger than {MAX_BYTES // 1024} KiB. Send less at once."
    default_code = "too_large"


class JSONParser(BaseParser):
    """JSON as RFC 8259 means it, for I-JSON readers: no duplicate keys, no NaN, nothing a database cannot hold."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise TooLarge
        return parse_json(body)


def parse_json(body: bytes) -> object:
    """The value in `body`. Raises ParseError, or ValidationError for a number that cannot be stored."""
    try:
        return safe_json.parse(body)
    except safe_json.NotFinite as error:
        told = {".".join(error.path): [error.message]} if error.path else [error.message]
        raise exceptions.ValidationError(told, "not_a_number") from None
    except safe_json.NotJson as error:
        raise exceptions.ParseError(error.message) from None


class JSONRenderer(ORJSONRenderer):
    """UTF-8 JSON. A time that a serializer left as it is comes out as every time does."""

    options = orjson.OPT_PASSTHROUGH_DATETIME

    @staticmethod
    def default(obj: Any) -> Any:
        if isinstance(obj, datetime):
            return iso(obj)
        if isinstance(obj, Promise):
            return str(obj)
        raise TypeError(f"{type(obj).__name__} cannot be shown as JSON.")


class CSV(BaseRenderer):
    """A page of a list as a table: one column for each field, `alert.customerCount` for one inside another."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> str | bytes:
        context = renderer_context or {}
        if not (isinstance(data, Mapping) and "results" in data):
            return JSONRenderer().render(data, accepted_media_type, renderer_context)
        rows = [tables.flat(row) for row in data["results"]]
        # A list without rows still says what its columns are called.
        empty = [] if rows else list(context["view"].get_serializer().fields)
        context["response"]["Content-Disposition"] = 'attachment; filename="list.csv"'
        context["response"]["X-Content-Type-Options"] = "nosniff"
        mark = "\ufeff" if context["request"].query_params.get(EXCEL) else ""
        return mark + tables.csv_text(rows, empty)


def is_list(view: Any, method: str | None) -> bool:
    return method == "GET" and hasattr(view, "list") and getattr(view, "pagination_class", None) is not None


class Negotiation(DefaultContentNegotiation):
    """Every list can also be had as CSV."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        if is_list(request.parser_context["view"], request.method):
            renderers = [*renderers, CSV()]
        return super().select_renderer(request, renderers, format_suffix)


class KnownParameters:
    """Refuses what an address that is no list has no parameter for. What it can be asked is its view's `parameters`.

    A throttle, for REST framework asks those of every view once it is known who asks, and that they may.
    """

    def allow_request(self, request: Any, view: Any) -> bool:
        # REST framework's views load this module for the renderer, and lists need those views.
        from majorops.lib.paging import check_query

        if request.method in ("GET", "HEAD") and not is_list(view, "GET"):
            check_query(request, getattr(view, "parameters", frozenset()), what="a parameter of this address")
        return True


def problem_handler(exc: Exception, context: Any) -> Response | None:
    """Every exception as application/problem+json."""
    # REST framework's views load this module for the renderer, and the handler needs those views.
    from majorops.lib.refusals import ProblemHandler

    return ProblemHandler(exc, context).run()
