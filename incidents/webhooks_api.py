"""Subscriptions of people, and endpoints of programs, over HTTP."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import allowed_to, person_of, principal_of
from accounts.roles import Can
from incidents import outbox, subscriptions, webhooks
from incidents.lifecycle import Severity
from incidents.models import Audience, Delivery, DeliveryAttempt, DeliveryState, Endpoint, Incident, Subscription
from incidents.outbox_rules import Channel, Wish
from majorops.lib.conditional import IF_MATCH, Tagged, check_match, digest
from majorops.lib.errors import Invalid
from majorops.lib.fields import Body, OneOf, Shown, Text, Time, by_value
from majorops.lib.paging import NewestFirst, StrictFilters
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible

READS = allowed_to(Can.READ_INCIDENTS)
ADMINISTERS = allowed_to(Can.ADMINISTER)


class SubscriptionShown(Shown):
    id = serializers.CharField()
    incident_id = serializers.CharField(allow_null=True, help_text="Null: your rule for all incidents.")
    wish = OneOf(Wish, shown=by_value)
    min_severity = OneOf(Severity, allow_null=True)
    changed_at = Time()


class SubscriptionBody(Body):
    """One of the two: an incident with a wish, or a severity for all incidents."""

    incident_id = Text(required=False)
    wish = OneOf(Wish, shown=by_value, required=False)
    min_severity = OneOf(Severity, required=False)


class EndpointShown(Shown):
    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    address = serializers.SerializerMethodField(help_text="Masked: it may be secret.")
    audience = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField(), help_text="Empty: all.")
    min_severity = OneOf(Severity)
    is_active = serializers.BooleanField()
    created_at = Time()

    def get_address(self, endpoint: Endpoint) -> str:
        return webhooks.masked(endpoint.url)


class EndpointMade(EndpointShown):
    secret = serializers.CharField(help_text="Shown this once.", required=False)


class EndpointChange(Body):
    name = Text(required=False)
    url = Text(required=False)
    audience = OneOf(Audience, shown=by_value, required=False)
    event_types = serializers.ListField(child=Text(), required=False)
    min_severity = OneOf(Severity, required=False)
    is_active = serializers.BooleanField(required=False)


class EndpointBody(EndpointChange):
    name = Text()
    url = Text()
    kind = OneOf([Channel.WEBHOOK, Channel.SLACK, Channel.TEAMS], shown=by_value, required=False)


class TryShown(Shown):
    number = serializers.IntegerField()
    tried_at = Time()
    was_sent = serializers.BooleanField()
    error = serializers.CharField()


class DeliveryShown(Shown):
    id = serializers.CharField()
    message_id = serializers.SerializerMethodField(help_text="The `webhook-id` it carries. Redelivering keeps it.")
    event = serializers.CharField(source="notice.event")
    state = OneOf(DeliveryState, shown=by_value)
    queued_at = Time()
    next_try_at = Time(allow_null=True)
    redelivers_id = serializers.CharField(allow_null=True)
    tries = serializers.SerializerMethodField()

    def get_message_id(self, delivery: Delivery) -> str:
        return f"msg_{delivery.message_id}"

    @extend_schema(responses=TryShown(many=True))
    def get_tries(self, delivery: Delivery) -> list[dict[str, Any]]:
        return [TryShown(each).data for each in delivery.seen_tries]  # type: ignore[attr-defined]


class ById(NewestFirst):
    ordering = ("-id",)


class Subscriptions(ListAPIView[Subscription]):
    """What you hear of by e-mail."""

    permission_classes = [READS]
    serializer_class = SubscriptionShown
    queryset = Subscription.objects.none()
    pagination_class = ById
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[Subscription]:
        return visible(Subscription.objects.all(), principal_of(self.request))

    @extend_schema(request=SubscriptionBody, responses={201: SubscriptionShown})
    def post(self, request: Request) -> Response:
        """Follow one incident, or all from a severity upwards. A second call replaces the first."""
        person, body, now = person_of(request), SubscriptionBody.read(request), timezone.now()
        if ("incident_id" in body) == ("min_severity" in body):
            raise Invalid("Send incidentId, or minSeverity for all incidents.", field="incident_id")
        if "min_severity" in body:
            row = subscriptions.follow_all(person, body["min_severity"], now=now)
        else:
            seen = visible(Incident.objects.all(), person)
            incident = get_object_or_404(seen, pk=_ulid(body["incident_id"]))
            row = subscriptions.follow(incident, person, body.get("wish", Wish.UPDATES), now=now)
        return Response(SubscriptionShown(row).data, status=201)


def _ulid(text: str) -> str:
    try:
        return parse_ulid(text)
    except ValueError as error:
        raise Invalid(str(error), field="incident_id") from None


class OneSubscription(APIView):
    permission_classes = [READS]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, subscription_id: str) -> Response:
        """As if it had never been made."""
        mine = visible(Subscription.objects.all(), person_of(request))
        subscriptions.end(get_object_or_404(mine, pk=subscription_id))
        return Response(status=204)


class ForAdministrators(APIView):
    permission_classes = [ADMINISTERS]

    def endpoint(self) -> Endpoint:
        seen = visible(Endpoint.objects.all(), principal_of(self.request))
        return get_object_or_404(seen, pk=self.kwargs["endpoint_id"])


class Endpoints(ListAPIView[Endpoint]):
    """Where programs and chats are told."""

    permission_classes = [ADMINISTERS]
    serializer_class = EndpointShown
    queryset = Endpoint.objects.none()
    pagination_class = ById
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[Endpoint]:
        return visible(Endpoint.objects.all(), principal_of(self.request))

    @extend_schema(request=EndpointBody, responses={201: EndpointMade})
    def post(self, request: Request) -> Response:
        """Create one. The secret is in this answer and in no other."""
        body = {"kind": Channel.WEBHOOK, **EndpointBody.read(request)}
        made = webhooks.create(**body, by=person_of(request), now=timezone.now(), request=request)
        return Response(_with_secret(made), status=201)


class OneEndpoint(Tagged, ForAdministrators):
    @extend_schema(responses=EndpointShown)
    def get(self, request: Request, endpoint_id: str) -> Response:
        """One endpoint, without what is secret."""
        return Response(EndpointShown(self.endpoint()).data)

    @extend_schema(request=EndpointChange, responses=EndpointShown, parameters=[IF_MATCH])
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change it, or switch it off. Needs If-Match. It is never deleted: its log refers to it."""
        endpoint = self.endpoint()
        check_match(request, digest(EndpointShown(endpoint).data))
        body = EndpointChange.read(request)
        shown = EndpointShown(webhooks.change(endpoint, body, by=person_of(request), request=request)).data
        return Response(shown, headers={"ETag": f'"{digest(shown)}"'})


class Secret(ForAdministrators):
    @extend_schema(request=None, responses={201: EndpointMade})
    def post(self, request: Request, endpoint_id: str) -> Response:
        """A new secret, shown this once. Both sign until DELETE ends the older one."""
        made = webhooks.rotate(self.endpoint(), by=person_of(request), request=request)
        return Response(_with_secret(made), status=201)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """End the older of two secrets."""
        webhooks.finish_rotation(self.endpoint(), by=person_of(request), request=request)
        return Response(status=204)


class Test(ForAdministrators):
    @extend_schema(request=None, responses={202: DeliveryShown})
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Queue a message that says what it is. What came of it is in the deliveries."""
        return Response(_shown(outbox.send_test(self.endpoint(), now=timezone.now()), request), status=202)


class Deliveries(ListAPIView[Delivery]):
    """What an endpoint was sent, newest first, with each try."""

    permission_classes = [ADMINISTERS]
    serializer_class = DeliveryShown
    queryset = Delivery.objects.none()
    pagination_class = ById
    filter_backends = [StrictFilters]

    def get_queryset(self) -> QuerySet[Delivery]:
        sender = principal_of(self.request)
        endpoint = get_object_or_404(visible(Endpoint.objects.all(), sender), pk=self.kwargs["endpoint_id"])
        return with_tries(visible(Delivery.objects.filter(endpoint=endpoint), sender), sender)


class Redeliver(ForAdministrators):
    @extend_schema(request=None, responses={202: DeliveryShown})
    def post(self, request: Request, endpoint_id: str, delivery_id: str) -> Response:
        """Send it again under the same message id."""
        mine = visible(Delivery.objects.filter(endpoint=self.endpoint()), principal_of(request))
        again = outbox.redeliver(get_object_or_404(mine, pk=delivery_id), now=timezone.now())
        return Response(_shown(again, request), status=202)


def with_tries(deliveries: QuerySet[Delivery], viewer: object) -> QuerySet[Delivery]:
    """With what `DeliveryShown` needs, without a query for each row."""
    tries = Prefetch("tries", visible(DeliveryAttempt.objects.order_by("number"), viewer), to_attr="seen_tries")
    return deliveries.select_related("notice").prefetch_related(tries)


def _shown(delivery: Delivery, request: Request) -> dict[str, Any]:
    sender = principal_of(request)
    return DeliveryShown(with_tries(visible(Delivery.objects.all(), sender), sender).get(pk=delivery.pk)).data


def _with_secret(made: webhooks.Made) -> dict[str, Any]:
    shown = dict(EndpointShown(made.endpoint).data)
    return shown | ({"secret": made.secret} if made.secret else {})


urlpatterns = [
    path("subscriptions", Subscriptions.as_view(), name="subscriptions"),
    path("subscriptions/<ulid:subscription_id>", OneSubscription.as_view(), name="subscription"),
    path("webhooks", Endpoints.as_view(), name="webhooks"),
    path("webhooks/<ulid:endpoint_id>", OneEndpoint.as_view(), name="webhook"),
    path("webhooks/<ulid:endpoint_id>/secret", Secret.as_view(), name="webhook-secret"),
    path("webhooks/<ulid:endpoint_id>/test", Test.as_view(), name="webhook-test"),
    path("webhooks/<ulid:endpoint_id>/deliveries", Deliveries.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<ulid:endpoint_id>/deliveries/<ulid:delivery_id>/redeliver",
        Redeliver.as_view(),
        name="webhook-redeliver",
    ),
]
