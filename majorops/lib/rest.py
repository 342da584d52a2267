"""The API's doors in and out: one strict JSON parser, one renderer, one handler for what goes wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any

import orjson
from django.utils.functional import Promise
from drf_orjson_renderer.renderers import ORJSONRenderer
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from majorops.lib.times import iso

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
#: What every database and every JSON reader holds exactly enough.
MAX_INTEGER = 2**63 - 1
#: PostgreSQL cannot store U+0000; a stored half of a surrogate pair breaks every list it is in.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


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
        value = json.loads(
            body.decode(), object_pairs_hook=_without_duplicates, parse_constant=float, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise exceptions.ParseError("The body is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise exceptions.ParseError(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    _check(value, ())
    return value


def _too_deep() -> exceptions.ParseError:
    return exceptions.ParseError(f"The body is nested too deeply: {MAX_DEPTH} levels are allowed.")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise exceptions.ParseError(f"{twice!a} occurs twice in one object. Send it once.")
    return found


def _integer(digits: str) -> float:
    """An int, or infinity where it is too large: Python's int() raises beyond some thousand digits."""
    number = int(digits) if len(digits) <= 20 else math.inf
    return number if abs(number) <= MAX_INTEGER else math.inf


def _check(value: object, path: tuple[str, ...]) -> None:
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            where = f"The text at /{'/'.join(path)}" if path else "The text"
            raise exceptions.ParseError(f"{where} contains a NUL character or half of a surrogate pair. Remove it.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            told = "This must be a finite number. If it is not known, leave it out or send null."
            raise exceptions.ValidationError({".".join(path): [told]} if path else [told], "not_a_number")
    elif isinstance(value, dict | list):
        if len(path) == MAX_DEPTH:
            raise _too_deep()
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check(str(name), path)
            _check(item, (*path, str(name)))


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


def problem_handler(exc: Exception, context: Any) -> Response | None:
    """Every exception as application/problem+json."""
    # REST framework's views load this module for the renderer, and the handler needs those views.
    from majorops.lib.refusals import ProblemHandler

    return ProblemHandler(exc, context).run()
