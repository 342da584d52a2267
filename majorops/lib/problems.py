"""application/problem+json (RFC 9457): the one error body of the API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, JsonResponse

from majorops.lib.errors import DomainError

CONTENT_TYPE = "application/problem+json"


def camel(name: str) -> str:
    """`next_update_eta` as the API spells it: `nextUpdateEta`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def pointer(field: str) -> str:
    """A JSON pointer to an input field, e.g. `/alert/issueTime` for `alert.issue_time`."""
    return "/" + "/".join(camel(part) for part in field.split("."))


def problem(
    request: HttpRequest,
    *,
    status: int,
    code: str,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """The body: type, title, status, detail, code, request id, and one entry per wrong field."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": getattr(request, "request_id", None),
        **({"errors": errors} if errors else {}),
        **extra,
    }


def domain_problem(request: HttpRequest, error: DomainError) -> dict[str, Any]:
    errors = [{"pointer": pointer(error.field), "code": error.code, "message": error.message}] if error.field else None
    details = {camel(name): value for name, value in error.details.items()}
    return problem(request, status=error.status, code=error.code, detail=error.message, errors=errors, **details)


def problem_response(request: HttpRequest, error: DomainError) -> JsonResponse:
    return JsonResponse(domain_problem(request, error), status=error.status, content_type=CONTENT_TYPE)
