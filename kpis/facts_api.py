"""Facts and decisions over HTTP: one, many, from webhooks, and lists of what came in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any
from urllib.parse import parse_qs

import django_filters
from django.conf import settings
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.generics import ListAPIView
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import IdentityAuthentication
from accounts.middleware import open_to_anyone
from accounts.permissions import allowed_to, by_method, principal_of
from accounts.principals import Principal, Service
from accounts.roles import Can
from accounts.scopes import Scope
from kpis.facts import adapters, decisions, ingest
from kpis.facts.decisions import Decided
from kpis.facts.errors import BodyTooLarge, EmptyBody, UnknownAdapter, WrongSignature
from kpis.models import Decision, Fact
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, LengthMissing, Shown, Text, Time
from majorops.lib.paging import FilterSet, NewestFirst, StrictFilters, between
from majorops.lib.rest import parse_json
from majorops.lib.visibility import visible

MAX_BULK = 8 * 1024 * 1024


def source_of(sender: Principal) -> str:
    """Whose keys these are: those of an integration across its tokens, or of a person."""
    return f"service:{sender.integration_id}" if isinstance(sender, Service) else f"user:{sender.pk}"


# --- As they are shown ---


class FactShown(Shown):
    id = serializers.CharField()
    kind = serializers.CharField(source="kind_id")
    version = serializers.IntegerField(source="kind_version")
    occurred_at = Time()
    received_at = Time()
    subject_type = serializers.CharField()
    subject = serializers.CharField(source="subject_id")
    payload = serializers.DictField()
    actor = serializers.CharField()
    request_id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field of this name, not Field.source
    confidence = serializers.FloatField()
    key = serializers.CharField(source="dedupe_key")
    supersedes = serializers.CharField(source="supersedes_id", allow_null=True)


class DecisionShown(Shown):
    id = serializers.CharField()
    decided_at = Time()
    received_at = Time()
    scope = serializers.CharField()
    action = serializers.CharField()
    subject_type = serializers.CharField()
    subject_id = serializers.CharField()
    payload = serializers.DictField()
    actor = serializers.CharField()
    evidence_url = serializers.CharField()
    request_id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    key = serializers.CharField(source="dedupe_key")


class LineErrorShown(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="Counted from 1.")
    code = serializers.CharField()
    reason = serializers.CharField()


class ReportShown(serializers.Serializer[Any]):
    """received = inserted + duplicate + parked + rejected."""

    received = serializers.IntegerField()
    inserted = serializers.IntegerField()
    duplicate = serializers.IntegerField(help_text="They were there already; nothing was changed.")
    parked = serializers.IntegerField(help_text="Of unknown kinds, kept until somebody defines them.")
    rejected = serializers.IntegerField()
    errors = LineErrorShown(many=True, help_text="At most 1000.")  # type: ignore[assignment]


class FactBody(Shown):
    """For the schema; an event is checked by kpis/facts/checking.py."""

    kind = serializers.CharField()
    occurred_at = Time(help_text="Not in the future. May be missing where the kind takes it from its payload.")
    subject = serializers.CharField(required=False)
    payload = serializers.DictField(required=False)
    actor = serializers.CharField(required=False, help_text="An alias; an e-mail address is replaced by one.")
    request_id = serializers.CharField(required=False)
    confidence = serializers.FloatField(required=False, min_value=0, max_value=1)
    key = serializers.CharField(required=False, help_text="A second event with this key is a duplicate.")
    supersedes = serializers.CharField(required=False, help_text="The id of the fact that this one corrects.")


class DecisionBody(Body):
    scope = Text(max_length=40)
    action = Text(max_length=80)
    decided_at = Time()
    subject_type = Text(max_length=24, required=False)
    subject_id = Text(max_length=120, required=False)
    payload = serializers.DictField(required=False)
    actor = Text(max_length=200, required=False)
    evidence_url = Text(max_length=500, required=False)
    request_id = Text(max_length=80, required=False)
    key = Text(max_length=200, required=False)


# --- Lists, and one at a time ---


class FactFilter(FilterSet):
    kind = django_filters.CharFilter(field_name="kind_id", max_length=72)
    subject_type = django_filters.CharFilter(field_name="subject_type", max_length=24)
    subject = django_filters.CharFilter(field_name="subject_id", max_length=120)
    source = django_filters.CharFilter(field_name="source", max_length=80)

    class Meta:
        model = Fact
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("occurred_at")}


class DecisionFilter(FilterSet):
    scope = django_filters.CharFilter(field_name="scope", max_length=40)
    action = django_filters.CharFilter(field_name="action", max_length=80)

    class Meta:
        model = Decision
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, django_filters.Filter]:
        return {**super().get_filters(), **between("decided_at")}


class Facts(ListAPIView[Fact]):
    """Facts as they came in, newest first."""

    permission_classes = [by_method(GET=Can.READ_INTERNAL_KPIS, POST=Can.WRITE_FACTS)]
    serializer_class = FactShown
    queryset = Fact.objects.none()
    pagination_class = NewestFirst
    filter_backends = [StrictFilters]
    filterset_class = FactFilter

    def get_queryset(self) -> QuerySet[Fact]:
        return visible(Fact.objects.all(), principal_of(self.request))

    @extend_schema(request=FactBody, responses={200: FactShown, 201: FactShown})
    def post(self, request: Request) -> Response:
        """Append one fact. The same again is 200 and the same row; nothing is changed."""
        _check_length(request)
        source = source_of(principal_of(request))
        said: Any = request.data
        fact, is_new = ingest.append(said, source=source, now=timezone.now())
        return Response(FactShown(fact).data, status=201 if is_new else 200)


class Decisions(ListAPIView[Decision]):
    """The decision log, newest first."""

    permission_classes = [by_method(GET=Can.READ_INTERNAL_KPIS, POST=Can.WRITE_FACTS)]
    serializer_class = DecisionShown
    queryset = Decision.objects.none()
    pagination_class = NewestFirst
    filter_backends = [StrictFilters]
    filterset_class = DecisionFilter

    def get_queryset(self) -> QuerySet[Decision]:
        return visible(Decision.objects.all(), principal_of(self.request))

    @extend_schema(request=DecisionBody, responses={200: DecisionShown, 201: DecisionShown})
    def post(self, request: Request) -> Response:
        """Append one decision. The same again is 200 and the same row."""
        decided = Decided(**DecisionBody.read(request))
        row, is_new = decisions.record(decided, source=source_of(principal_of(request)), now=timezone.now())
        return Response(DecisionShown(row).data, status=201 if is_new else 200)


# --- Many at once ---


class Lines(BaseParser):
    """The body as it is, up to a limit: each line is read by itself."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body: bytes = stream.read(MAX_BULK + 1)
        request = (parser_context or {}).get("request")
        if request is not None and request.headers.get("Content-Encoding", "").lower() == "gzip":
            body = _unpacked(body)
        if len(body) > MAX_BULK:
            raise BodyTooLarge(f"The body has more than {MAX_BULK // 1024 // 1024} MiB. Send less at once.")
        return body


def _unpacked(body: bytes) -> bytes:
    """What gzip holds, and never more than is taken: a small body may unpack to gigabytes."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(body, MAX_BULK + 1)
    except zlib.error:
        raise Invalid("The body is not gzip, as its Content-Encoding says.") from None
    if not unpacking.eof and len(unpacked) <= MAX_BULK:
        raise Invalid("The gzip body is cut off.")
    return unpacked


class FactsInBulk(APIView):
    """Many facts in one body of JSON lines."""

    permission_classes = [allowed_to(Can.WRITE_FACTS)]
    parser_classes = [Lines]

    @extend_schema(request={"application/x-ndjson": str}, responses=ReportShown)
    def post(self, request: Request) -> Response:
        """Append the events, one a line, up to 10,000. What is wrong with a line is told; the others are stored.

        A body that is sent again changes nothing. `Content-Encoding: gzip` is understood.
        """
        _check_length(request)
        body = _body(request)
        if not body.strip():
            raise EmptyBody
        if body.count(b"\n") > ingest.MAX_LINES:
            raise BodyTooLarge(f"The body has more than {ingest.MAX_LINES} lines. Send less at once.")
        report = ingest.append_lines(body, source=source_of(principal_of(request)), now=timezone.now())
        return Response(asdict(report))


def _body(request: Request) -> bytes:
    sent: Any = request.data  # an empty dictionary where there is no body
    return sent if isinstance(sent, bytes) else b""


def _check_length(request: Request) -> None:
    if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
        raise LengthMissing


# --- Webhooks ---


class WebhookProof(BaseAuthentication):
    """A webhook proves itself by the HMAC of its body, or by its secret as the password of its address."""

    def authenticate(self, request: Request) -> tuple[Service, None] | None:
        name = request.parser_context["kwargs"]["name"]
        secret = settings.MAJOROPS_WEBHOOK_SECRETS.get(name, "")
        if not secret or name not in adapters.ADAPTERS:
            return None
        if _is_signed(request, name, secret) or _has_password(request, secret):
            return Service(f"webhook-{name}", f"Webhook {name}", frozenset({Scope.FACTS_WRITE.value})), None
        return None


def _is_signed(request: Request, name: str, secret: str) -> bool:
    header = adapters.ADAPTERS[name].signature_header
    sent = request.headers.get(header, "") if header else ""
    digest = hmac.new(secret.encode(), request._request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(sent.encode(), f"sha256={digest}".encode())


def _has_password(request: Request, secret: str) -> bool:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        _, _, password = base64.b64decode(sent, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(password, secret.encode())


class Webhook(APIView):
    """What another system tells by itself, turned into facts."""

    authentication_classes = [IdentityAuthentication, WebhookProof]
    parser_classes = [Lines]
    permission_classes = [AllowAny]  # the proof is looked at below

    @extend_schema(request={"application/json": dict}, responses=ReportShown)
    def post(self, request: Request, name: str) -> Response:
        """A payload of `github`, `alertmanager` or `chatwoot`. What tells of nothing we count gives no fact."""
        sender = request.user
        if not isinstance(sender, Principal) or not sender.can(Can.WRITE_FACTS):
            raise WrongSignature
        adapter = adapters.ADAPTERS.get(name)
        if adapter is None:
            raise UnknownAdapter(f"No adapter is called {name[:40]!a}. There are: {', '.join(adapters.ADAPTERS)}.")
        event = request.headers.get(adapter.event_header, "") if adapter.event_header else ""
        found = adapters.events(adapter, parse_json(_payload(request)), event)
        report = ingest.append_events(enumerate(found, start=1), source=f"webhook:{name}", now=timezone.now())
        return Response(asdict(report))


def _payload(request: Request) -> bytes:
    """The JSON of the body, also of a form: that is how GitHub sends unless it is told otherwise."""
    body = _body(request)
    if request.content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return body
    try:
        return parse_qs(body, max_num_fields=10)[b"payload"][0]
    except (KeyError, ValueError):
        raise Invalid("The form has no field called payload. Send JSON, or that field.") from None


urlpatterns = [
    path("facts", Facts.as_view(), name="facts"),
    path("facts/bulk", FactsInBulk.as_view(), name="facts-bulk"),
    path("facts/adapters/<slug:name>", open_to_anyone(Webhook.as_view()), name="facts-adapter"),
    path("decisions", Decisions.as_view(), name="decisions"),
]
