"""Programs in tests: integrations with scopes, and clients that send their tokens."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Integration
from accounts.scopes import Scope


def integration(*scopes: Scope, name: str = "Alertmanager prod", **fields: object) -> Integration:
    return Integration.objects.create(name=name, scopes=[str(scope) for scope in scopes], **fields)


def token_of(program: Integration, days: float = 90) -> str:
    now = timezone.now()
    return tokens.mint(program, by=None, expires_at=now + timedelta(days=days), now=now)[1]


def client_with(token: str, **headers: str) -> Client:
    """A program that sends this token. It checks CSRF, as servers do and Django's test client does not."""
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {token}", **headers})


def program_with(*scopes: Scope, name: str = "Alertmanager prod") -> Client:
    return client_with(token_of(integration(*scopes, name=name)))
