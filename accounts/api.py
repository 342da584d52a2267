"""Who am I, and who is there."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.permissions import SignedIn, allowed_to, principal_of
from accounts.principals import Service
from accounts.roles import Can
from accounts.serializers import UserShown
from majorops.lib.fields import Shown
from majorops.lib.paging import FilterSet, NewestFirst, StrictFilters
from majorops.lib.visibility import visible


class ProgramShown(Shown):
    """A program as it sees itself."""

    id = serializers.CharField(source="integration_id")
    display_name = serializers.CharField(source="name")
    scopes = serializers.SerializerMethodField()

    def get_scopes(self, program: Service) -> list[str]:
        return sorted(program.scopes)


ME = PolymorphicProxySerializer(
    component_name="Me", serializers=[UserShown, ProgramShown], resource_type_field_name=None
)


class Me(GenericAPIView[User]):
    permission_classes = [SignedIn]
    serializer_class = UserShown

    @extend_schema(operation_id="users_me", responses=ME)
    def get(self, request: Request) -> Response:
        """The person this request comes from; for a program its name and scopes."""
        sender = principal_of(request)
        return Response((ProgramShown(sender) if isinstance(sender, Service) else UserShown(sender)).data)


class ByEmail(NewestFirst):
    ordering = ("email",)


class UserFilter(FilterSet):
    q = django_filters.CharFilter(
        field_name="email", lookup_expr="icontains", max_length=200, help_text="Part of the e-mail address."
    )

    class Meta:
        model = User
        fields: list[str] = []


class Users(ListAPIView[User]):
    """Everybody who has access, by e-mail address."""

    permission_classes = [allowed_to(Can.ADMINISTER)]
    serializer_class = UserShown
    queryset = User.objects.none()  # for the schema; get_queryset finds the reader's
    pagination_class = ByEmail
    filter_backends = [StrictFilters]
    filterset_class = UserFilter

    def get_queryset(self) -> QuerySet[User]:
        return visible(User.objects.all(), principal_of(self.request))


urlpatterns = [
    path("users", Users.as_view(), name="users"),
    path("users/me", Me.as_view(), name="me"),
]
