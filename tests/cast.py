"""The cast: people with different rights, and the ways they come in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from tests.factories import UserFactory

Knock = Callable[[User], Client]


@pytest.fixture
def mim(db: None) -> User:
    return UserFactory(email="mim@example.com", display_name="R. Okafor", role=Role.MIM)


@pytest.fixture
def stakeholder(db: None) -> User:
    return UserFactory(email="stakeholder@example.com", display_name="J. Prieto", role=Role.STAKEHOLDER)


@pytest.fixture
def executive(db: None) -> User:
    return UserFactory(email="executive@example.com", display_name="M. Haddad", role=Role.EXECUTIVE)


@pytest.fixture
def admin_user(db: None) -> User:
    return UserFactory(email="admin@example.com", display_name="S. Lindqvist", role=Role.ADMIN)


@pytest.fixture
def engineer(db: None) -> User:
    """Signed in, on nobody's list until their team is paged."""
    return UserFactory(email="engineer@example.com", display_name="A. Kim", role=Role.STAKEHOLDER)


@pytest.fixture
def page_as() -> Knock:
    """A browser of this person."""
    return lambda user: Client(headers={"Cf-Access-Authenticated-User-Email": user.email, "Accept": "text/html"})


@pytest.fixture
def client_as() -> Knock:
    """A program of this person."""
    return lambda user: Client(headers={"Cf-Access-Authenticated-User-Email": user.email, "Accept": "application/json"})
