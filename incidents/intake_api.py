"""The door for alerts of other systems. Senders prove themselves by a signature or a token; they are no principals."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import audit
from accounts.middleware import open_to_anyone
from accounts.refusals import refusal
from incidents.alerts import inbox, proof, setup
from incidents.alerts.alert import Malformed
from incidents.alerts.inbox import Delivery, Receipt
from incidents.alerts.kinds import SourceKind, Verdict
from incidents.models import IntakeSource
from majorops.lib import safe_json
from majorops.lib.errors import DomainError
from majorops.lib.fields import LengthMissing, OneOf, Shown, by_value
from majorops.lib.problems import CONTENT_TYPE, problem

logger = logging.getLogger(__name__)

#: Headers that tell of the sender and carry no secret.
KEPT_HEADERS = ("user-agent", "content-type", "webhook-id", "webhook-timestamp", "x-request-id", "x-pagerduty-id")


class NotProven(DomainError):
    """Nothing was taken: no source has this address, or the signature or token is wrong."""

    code = "intake_not_proven"
    status = 401


class BodyTooLarge(DomainError):
    """An alert has 256 KiB at most. Send less at once."""

    code = "too_large"
    status = 413


class TakenShown(Shown):
    """What was made of a delivery. Incidents are not named: a sender need not know of them."""

    id = serializers.CharField(help_text="The delivery in the inbox.")
    verdict = OneOf(Verdict, shown=by_value)
    reason = serializers.CharField()
    is_duplicate = serializers.BooleanField(help_text="It came before; nothing was changed.")
    alerts = serializers.IntegerField(help_text="How many alerts were read in it.")
    truncated = serializers.IntegerField(help_text="How many the sender says it left out.")


class AnyAccept(BaseContentNegotiation):
    """Senders ask for anything and read nothing: whatever they accept, they get JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Intake(APIView):
    permission_classes = [AllowAny]
    authentication_classes = []
    content_negotiation_class = AnyAccept

    @extend_schema(request=OpenApiTypes.OBJECT, responses={202: TakenShown}, operation_id="intake_create")
    def post(self, request: Request, slug: str) -> Response | HttpResponse:
        """An alert in its sender's own words. What we cannot use is kept with the reason, and is 202 too."""
        asked = request._request
        body = body_of(asked)
        source = setup.source_at(slug)
        if source is None or not is_proven(asked, source, body):
            return not_proven(asked)
        receipt = take(asked, source, body)
        if receipt.refused:
            return malformed(asked, receipt.refused, receipt)
        return Response(TakenShown(told(receipt)).data, status=202)


def told(receipt: Receipt) -> dict[str, Any]:
    event = receipt.event
    return {
        "id": event.pk,
        "verdict": event.verdict,
        "reason": event.reason,
        "is_duplicate": receipt.is_duplicate,
        "alerts": len(receipt.reading.alerts),
        "truncated": event.truncated,
    }


@open_to_anyone
@csrf_exempt
@require_POST
def enqueue(request: HttpRequest) -> HttpResponse:
    """`/v2/enqueue`, as clients of the Events API v2 call it: the routing key in the body says which source it is."""
    try:
        body = body_of(request)
    except DomainError as error:
        return refusal(request, error)
    try:
        source = setup.source_of_key(routing_key(request, body))
    except Malformed as error:
        return malformed(request, error)
    if source is None:
        return not_proven(request)
    receipt = take(request, source, body)
    if receipt.refused:
        return malformed(request, receipt.refused, receipt)
    if not receipt.reading.alerts:
        no_event = Malformed("event_action must be given.", ("event_action",))
        return malformed(request, no_event, receipt)
    key = receipt.reading.alerts[0].dedup_key
    return JsonResponse({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)


# --- What both do ---


def body_of(request: HttpRequest) -> bytes:
    """The body, within its limit. Raises BodyTooLarge, LengthMissing."""
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        raise LengthMissing
    body = request.read(inbox.MAX_BYTES + 1)
    if len(body) > inbox.MAX_BYTES:
        raise BodyTooLarge
    return body


def is_proven(request: HttpRequest, source: IntakeSource, body: bytes) -> bool:
    token = request.GET.get("token", "")
    if source.kind == SourceKind.PAGERDUTY_EVENTS and not token:
        try:
            token = routing_key(request, body)
        except Malformed:
            token = ""
    headers = {name.lower(): value for name, value in request.headers.items()}
    kept = (source.secret, source.old_secret)
    return proof.is_proven(source.kind, kept, headers, body, timezone.now(), token)


def routing_key(request: HttpRequest, body: bytes) -> str:
    """What a client of the Events API v2 proves itself by. Raises Malformed."""
    try:
        payload = safe_json.parse(body)
    except safe_json.NotJson as error:
        raise Malformed(error.message, error.path) from None
    key = payload.get("routing_key") if isinstance(payload, dict) else None
    return key if isinstance(key, str) else request.headers.get("X-Routing-Key", "")


def take(request: HttpRequest, source: IntakeSource, body: bytes) -> Receipt:
    """The delivery, kept whatever it does to us. What breaks on it is logged, and can be replayed once it is mended."""
    headers = {name: _plain(request.headers[name]) for name in KEPT_HEADERS if name in request.headers}
    event_id = _plain(request.headers.get("webhook-id", "")) if source.kind == SourceKind.GENERIC else ""
    delivery = Delivery(body, headers, event_id)
    try:
        return inbox.receive(source, delivery, now=timezone.now())
    except DomainError:
        raise
    except Exception:
        logger.exception("An alert of %s could not be applied.", source.slug)
        broken = "It broke MajorOps. The log says how; replay it once that is mended."
        return inbox.keep_failed(source, delivery, broken, now=timezone.now())


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:200]


def not_proven(request: HttpRequest) -> HttpResponse:
    audit.record_refusal(request, NotProven.code)
    return refusal(request, NotProven())


def malformed(request: HttpRequest, error: Malformed, receipt: Receipt | None = None) -> HttpResponse:
    """400, naming the field in the sender's own words, and the delivery in the inbox if it was kept."""
    errors = [{"pointer": error.pointer, "code": error.code, "message": error.message}]
    kept = {"intakeId": receipt.event.pk} if receipt else {}
    body = problem(request, status=error.status, code=error.code, detail=error.message, errors=errors, **kept)
    return JsonResponse(body, status=error.status, content_type=CONTENT_TYPE)


urlpatterns = [
    path("intake/<slug:slug>", open_to_anyone(Intake.as_view()), name="intake"),
    path("intake/<slug:slug>/", open_to_anyone(extend_schema(exclude=True)(Intake).as_view()), name="intake-slash"),
]
