"""People as the API shows and reads them. A person's id is their e-mail address."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.emails import MalformedEmail, canonical_email
from accounts.models import User
from majorops.lib.fields import Shown, Time


class UserShown(Shown):
    id = serializers.EmailField(source="email")
    email = serializers.EmailField()
    display_name = serializers.CharField(source="name")
    role = serializers.CharField()
    is_active = serializers.BooleanField()
    created_at = Time()
    last_seen_at = Time(allow_null=True)


@extend_schema_field({"type": "string", "format": "email"})
class Person(serializers.Field[User, Any, str, Any]):
    """An active person, named by their e-mail address."""

    default_error_messages = {"unknown_person": "Nobody active here has the e-mail address {email}."}

    def to_internal_value(self, data: Any) -> User:
        email = data if isinstance(data, str) else ""
        try:
            person = User.objects.filter(email=canonical_email(email.strip()), is_active=True).first()
        except MalformedEmail:
            person = None
        if person is None:
            self.fail("unknown_person", email=str(data)[:60])
        return person

    def to_representation(self, value: User) -> str:
        return value.email
