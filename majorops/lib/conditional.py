"""ETags: what was read has a tag, who has it already gets 304, and who changes something names what they read."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from majorops.lib.errors import DomainError

#: For operations that need it.
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The ETag you read.")


class IfMatchMissing(DomainError):
    """Send If-Match with the ETag of what you read, so that nobody's change is overwritten unseen."""

    code = "if_match_missing"
    status = 428


class ChangedMeanwhile(DomainError):
    """Somebody changed it since you read it. Read it again, and send your change with its new ETag."""

    code = "changed_meanwhile"
    status = 412


class Tagged(APIView):
    """A view whose reads carry an ETag, made of nothing but what this reader is shown."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if request.method == "GET" and response.status_code == 200:
            kind = getattr(response, "accepted_media_type", "")
            if "ETag" not in response:
                response["ETag"] = f'"{digest([response.data, kind] if kind == "text/csv" else response.data)}"'
            response["Cache-Control"] = "private, no-cache"
            if is_known(request, response["ETag"]):
                return not_modified(response)
        return response


def digest(shown: object) -> str:
    """A short fingerprint of what is shown."""
    return hashlib.sha256(orjson.dumps(shown, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names it. Compared weakly, as RFC 9110 says."""
    tags = {known.removeprefix("W/") for known in parse_etags(request.headers.get("If-None-Match", ""))}
    return bool(tags & {tag, "*"})


def not_modified(response: HttpResponseBase) -> HttpResponseNotModified:
    kept = {name: response[name] for name in ("ETag", "Cache-Control", "Vary") if name in response}
    return HttpResponseNotModified(headers=kept)


def check_match(request: Request, state: str) -> None:
    """Raises IfMatchMissing, or ChangedMeanwhile unless If-Match names a tag of this state, or is `*`.

    A tag begins with the state and may go on after a hyphen, with what else is shown and changes by itself.
    """
    if "If-Match" not in request.headers:
        raise IfMatchMissing
    named = parse_etags(request.headers["If-Match"])
    if named != ["*"] and state not in {tag.strip('"').partition("-")[0] for tag in named}:
        raise ChangedMeanwhile
