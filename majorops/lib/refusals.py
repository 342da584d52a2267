"""How the API refuses: every exception as application/problem+json, and how the schema tells of it."""

from __future__ import annotations

from typing import Any, Literal, cast

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from drf_standardized_errors.types import Error, ErrorResponse
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.settings import api_settings

from majorops.lib.deprecation import Deprecated
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.problems import CONTENT_TYPE, domain_problem, problem
from majorops.lib.rest import CSV, TooLarge, is_list


class Refused(exceptions.APIException):
    """A refusal of the domain on its way out."""

    def __init__(self, error: DomainError) -> None:
        super().__init__(error.message, error.code)
        self.status_code = error.status


class Unavailable(exceptions.APIException):
    status_code = 503
    default_detail = "The database does not answer. Nothing was stored. Try again in a moment."
    default_code = "unavailable"
    wait = 5


class Broken(exceptions.APIException):
    default_detail = "Something broke on our side. Nothing was half-stored. Try again, and report the request id."
    default_code = "internal_error"


class ProblemFormatter(ExceptionFormatter):
    def format_error_response(self, error_response: ErrorResponse) -> dict[str, Any]:
        request = cast(HttpRequest, self.context["request"])
        if isinstance(self.original_exc, DomainError):
            return domain_problem(request, self.original_exc)
        status, errors = self.exc.status_code, error_response.errors
        if not isinstance(self.exc, exceptions.ValidationError):
            return problem(request, status=status, code=errors[0].code, detail=errors[0].detail)
        entries = [{"pointer": json_pointer(e.attr), "code": e.code, "message": e.detail} for e in errors]
        return problem(request, status=status, code="invalid", detail=_summary(errors), errors=entries)


def json_pointer(attr: str | None) -> str:
    """A JSON pointer (RFC 6901) to the input; empty for the body as a whole."""
    parts = [part for part in (attr or "").split(".") if part and part != api_settings.NON_FIELD_ERRORS_KEY]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _summary(errors: list[Error]) -> str:
    named = [f"{json_pointer(e.attr).lstrip('/').replace('/', '.')}: {e.detail}".removeprefix(": ") for e in errors]
    return " ".join(named)


class ProblemHandler(ExceptionHandler):
    """Every exception becomes application/problem+json, in development too; the log keeps the trace."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        match exc:
            case DomainError():
                asked = self.context["request"]
                if isinstance(exc, Invalid) and asked is not None and asked.method in ("GET", "HEAD"):
                    exc.status = 400  # it has no body: what is wrong is a parameter
                return Refused(exc)
            case Http404() | exceptions.NotFound():
                return exceptions.NotFound("There is nothing here, or nothing you may see.")
            case RequestDataTooBig():
                return TooLarge()
            case OperationalError() | InterfaceError():
                return Unavailable()
            case exceptions.ValidationError():
                exc.status_code = 422
            case exceptions.MethodNotAllowed():
                told = f"{exc.detail} The header Allow names what is."
                exc.detail = exceptions.ErrorDetail(told, exc.default_code)
            case exceptions.UnsupportedMediaType():
                exc.detail = exceptions.ErrorDetail("Send the body as application/json.", exc.default_code)
            case exceptions.NotAcceptable():
                exc.detail = exceptions.ErrorDetail("The answer is application/json. Accept that.", exc.default_code)
        return super().convert_known_exceptions(exc)

    def should_not_handle(self, exc: Exception) -> bool:
        return False

    def convert_unhandled_exceptions(self, exc: Exception) -> exceptions.APIException:
        return exc if isinstance(exc, exceptions.APIException) else Broken()

    def format_exception(self, exc: exceptions.APIException) -> dict[str, Any]:
        return ProblemFormatter(exc, self.context, self.exc).run()

    def get_response(self, exc: exceptions.APIException, data: dict[str, Any]) -> Response:
        return Response(data, status=exc.status_code, headers=self.get_headers(exc), content_type=CONTENT_TYPE)


# --- As the schema tells it ---


class WrongField(serializers.Serializer[Any]):
    """One wrong field of a request."""

    pointer = serializers.CharField(help_text="JSON pointer to the field; empty for the whole body.")
    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people.")


class Problem(serializers.Serializer[Any]):
    """What every refusal looks like (RFC 9457). Some carry more: `allowed`, `version`, `incidentId`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What went wrong and what to do next.")
    code = serializers.CharField(help_text="Stable, for programs.")
    requestId = serializers.CharField(allow_null=True)  # noqa: N815  # the wire's spelling
    errors = WrongField(many=True, required=False)  # type: ignore[assignment]


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="A new one for each thing you want done. Under the same key a request is not carried out again.",
)


#: What a request can be refused with, and why, in one line each for the schema.
REFUSALS = {
    400: "Not JSON, or a parameter that cannot be used.",
    401: "Not signed in.",
    403: "Not allowed. `detail` says to whom it is.",
    404: "Not there, or not for you.",
    406: "No such type of answer.",
    409: "The row is not in a state for this. Nothing was written.",
    410: "It is closed.",
    411: "No Content-Length.",
    412: "If-Match names another state than the one that is.",
    413: "Too large.",
    415: "Wrong type of body.",
    422: "A wrong value. `errors` names each field by JSON pointer.",
    428: "If-Match is missing.",
    429: "Too many requests. Wait for `Retry-After` seconds.",
    500: "Something broke on our side.",
    503: "The database does not answer. Try again after `Retry-After` seconds.",
}
ALWAYS = frozenset({400, 401, 403, 406, 429, 500, 503})
OF_WRITES = frozenset({404, 409, 411, 413, 415, 422})
OF_STATES = frozenset({412, 428})


class ProblemSchema(AutoSchema):
    """Adds to every operation how it can be refused, and the key to every POST."""

    def get_override_parameters(self) -> list[Any]:
        own = super().get_override_parameters()
        return [*own, IDEMPOTENCY_KEY] if self.method == "POST" else own

    def is_deprecated(self) -> bool:
        return bool(super().is_deprecated()) or isinstance(self.view, Deprecated)

    def _refusals(self) -> set[int]:
        found = {*ALWAYS, *getattr(self.view, "also_refuses", ())}
        if "{" in self.path:
            found.add(404)
        if self.method != "GET":
            found |= OF_WRITES
        if any(getattr(each, "name", "") == "If-Match" for each in self.get_override_parameters()):
            found |= OF_STATES
        return found

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        if direction == "response":
            self._get_response_for_code(Problem, "400", media_types=[CONTENT_TYPE])  # names it in the schema
            for status in sorted(self._refusals()):
                responses[str(status)] = {"$ref": f"#/components/responses/Refused{status}"}
            if is_list(self.view, self.method):
                responses["200"]["content"][CSV.media_type] = {"schema": {"type": "string"}}
        return responses


def with_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """The schema with the refusals that its operations name."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    result["components"]["responses"] = {
        f"Refused{status}": {"description": why, "content": content} for status, why in REFUSALS.items()
    }
    return result
