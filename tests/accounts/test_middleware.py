"""From a request to one principal: person, program or nobody; where each may go, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tokens
from accounts.middleware import Identity, identify
from accounts.models import GroupRole, Integration, User
from accounts.principals import Service
from tests.cast import Knock
from tests.factories import UserFactory
from tests.identity import ASSERTION, ASSERTION_KEY, EMAIL_KEY, TEAM, mint, of_program

pytestmark = pytest.mark.django_db

API = "/api/v1/incidents"
HEADER = "Cf-Access-Authenticated-User-Email"


@pytest.fixture
def integration() -> Integration:
    return Integration.objects.create(name="CI", scopes=["incidents:read", "kpis:read"], access_client_id="ci.access")


@pytest.fixture
def bearer(integration: Integration) -> str:
    now = timezone.now()
    return "Bearer " + tokens.mint(integration, by=None, expires_at=now + timedelta(days=9), now=now)[1]


def identified(**meta: str) -> Any:
    request: Any = RequestFactory().get(API, **meta)
    request.session = SessionStore()
    identify(request)
    return request


def status(path: str, **headers: str) -> tuple[int, str]:
    response = Client(headers=headers).get(path)
    is_json = "json" in response["Content-Type"]
    return response.status_code, response.json().get("code", "") if is_json else ""


# --- Who it is ---


@pytest.mark.usefixtures("behind_access")
def test_a_person_behind_access(mim: User) -> None:
    request = identified(**{ASSERTION_KEY: mint()})
    known: Identity = request.identity
    assert request.user == mim
    assert (known.kind, known.is_ambient, known.mode) == ("human", True, "access")
    assert (known.issuer, known.subject, len(known.fingerprint)) == (TEAM, "subject-of-mim", 12)


def test_a_bearer_token_is_a_program_and_not_ambient(bearer: str, integration: Integration) -> None:
    request = identified(HTTP_AUTHORIZATION=bearer)
    assert isinstance(request.user, Service)
    assert request.user.integration_id == integration.pk
    assert (request.identity.kind, request.identity.is_ambient) == ("service", False)
    assert len(request.identity.fingerprint) == 12
    assert bearer[-12:] not in request.identity.fingerprint


@pytest.mark.usefixtures("behind_access")
def test_a_service_token_of_access_is_a_program(integration: Integration) -> None:
    assert status(API, **{ASSERTION: of_program("ci.access")}) == (200, "")
    assert status(API, **{ASSERTION: of_program("other.access")}) == (403, "unknown_service")
    assert not User.objects.exists()


@pytest.mark.usefixtures("behind_access")
def test_two_programs_at_once_are_refused(bearer: str) -> None:
    Integration.objects.create(name="Other", access_client_id="other.access")
    headers = {"Authorization": bearer, ASSERTION: of_program("other.access")}
    assert status(API, **headers) == (403, "identity_mismatch")


@pytest.mark.usefixtures("behind_access")
def test_a_wrong_bearer_is_not_excused_by_a_person(mim: User) -> None:
    wrong = {"Authorization": "Bearer mo_000000000000_" + "x" * 43, ASSERTION: mint()}
    assert status(API, **wrong) == (401, "invalid_token")


def test_a_bearer_of_another_kind_is_nobody(mim: User) -> None:
    assert status(API, Authorization=f"Bearer {mint()}") == (401, "not_signed_in")


def test_nobody_is_anonymous(db: None) -> None:
    request = identified()
    assert (request.user.is_authenticated, request.identity.kind) == (False, "anonymous")


async def test_async_servers_know_programs_too(bearer: str) -> None:
    answer = await AsyncClient().get(API, headers={"Authorization": bearer})
    assert answer.status_code == 200


# --- Where it may go ---


@pytest.mark.parametrize("path", ["/", "/incidents/", "/incidents/new", "/admin/", "/admin/accounts/user/"])
def test_programs_do_not_reach_pages_or_admin(bearer: str, path: str) -> None:
    assert status(path, Authorization=bearer) == (403, "programs_use_the_api")


@pytest.mark.parametrize(("accept", "code"), [("application/json", 200), ("*/*", 200), ("text/html", 403)])
def test_the_paths_that_serve_both_give_programs_data_only(bearer: str, accept: str, code: int) -> None:
    assert status("/kpis", Authorization=bearer, Accept=accept)[0] == code


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_whatever_identity_is_sent(db: None, path: str) -> None:
    assert status(path, **{HEADER: "two@example.com, at@once.example"})[0] == 200
    assert status(path, Authorization="Bearer mo_wrong")[0] == 200


# --- At once, and at what cost ---


def test_demotion_and_deactivation_act_on_the_next_request(admin_user: User, page_as: Knock) -> None:
    browser = page_as(admin_user)
    assert browser.get("/admin/accounts/user/").status_code == 200
    User.objects.filter(pk=admin_user.pk).update(role="mim")
    assert browser.post("/admin/accounts/user/add/", {"email": "new@example.com"}, follow=True).status_code == 403
    User.objects.filter(pk=admin_user.pk).update(is_active=False)
    assert browser.get("/incidents/").status_code == 403


def test_last_seen_is_written_once_in_five_minutes(mim: User) -> None:
    identified(**{EMAIL_KEY: mim.email})
    with CaptureQueriesContext(connection) as told:
        identified(**{EMAIL_KEY: mim.email})
    assert [query["sql"].split()[0] for query in told] == ["SELECT"]


@pytest.mark.usefixtures("behind_access")
@pytest.mark.parametrize("rows", [0, 5])
def test_a_person_with_groups_costs_one_query(rows: int, django_assert_num_queries: Any) -> None:
    UserFactory(email="mim@example.com", role="mim", issuer=TEAM, subject="subject-of-mim")
    for number in range(rows):
        GroupRole.objects.create(group=f"group {number}", role="mim", priority=number + 1)
    meta = {ASSERTION_KEY: mint(custom={"groups": ["group 0", "group 1"]})}
    identified(**meta)
    with django_assert_num_queries(1):
        identified(**meta)


def test_a_program_costs_one_query(bearer: str, django_assert_num_queries: Any) -> None:
    identified(HTTP_AUTHORIZATION=bearer)
    with django_assert_num_queries(1):
        identified(HTTP_AUTHORIZATION=bearer)
