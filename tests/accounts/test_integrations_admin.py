"""Integrations in admin: scopes in words, and tokens whose secret is seen once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import tokens
from accounts.admin_integrations import IN_WORDS
from accounts.models import AuditEvent, Integration, ServiceToken, User
from accounts.scopes import Scope
from tests.accounts.programs import integration, token_of
from tests.cast import Knock

pytestmark = pytest.mark.django_db

LIST = "/admin/accounts/integration/"
TOKENS = "/admin/accounts/servicetoken/"
SECRET = re.compile(r"mo_[0-9a-z]{12}_[A-Za-z0-9_-]{43}")


def tokens_page(program: Integration) -> str:
    return f"{LIST}{program.pk}/tokens/"


def filled(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Alertmanager prod",
        "scopes": ["alerts:write"],
        "is_active": "on",
        "access_client_id": "",
        **changes,
    }


# --- The integration ---


def test_every_scope_is_in_words() -> None:
    assert list(IN_WORDS) == list(Scope)


def test_integration_is_added_with_scopes_and_owner(admin_user: User, page_as: Knock) -> None:
    page_as(admin_user).post(f"{LIST}add/", filled(scopes=["kpis:read", "publish"], owner=admin_user.pk))
    program = Integration.objects.get()
    assert (program.scopes, program.owner, program.access_client_id) == (["kpis:read", "publish"], admin_user, None)
    event = AuditEvent.objects.get(action="integration_change")
    assert (event.actor_id, event.before, event.after["scopes"]) == (admin_user.pk, None, ["kpis:read", "publish"])


def test_change_is_audited_with_old_and_new(admin_user: User, page_as: Knock) -> None:
    program = integration(Scope.ALERTS_WRITE)
    page_as(admin_user).post(f"{LIST}{program.pk}/change/", filled(scopes=["publish"], is_active=""))
    event = AuditEvent.objects.get(action="integration_change")
    assert (event.before["scopes"], event.after["scopes"]) == (["alerts:write"], ["publish"])
    assert (event.before["is_active"], event.after["is_active"]) == (True, False)


def test_saving_unchanged_is_not_audited(admin_user: User, page_as: Knock) -> None:
    program = integration(Scope.ALERTS_WRITE)
    page_as(admin_user).post(f"{LIST}{program.pk}/change/", filled())
    assert not AuditEvent.objects.filter(action="integration_change").exists()


@pytest.mark.parametrize(
    "wrong", [{"scopes": ["admin:all"]}, {"scopes": ["publish", "x"]}, {"name": " "}, {"name": "x" * 81}]
)
def test_what_is_no_integration_is_refused(admin_user: User, page_as: Knock, wrong: dict[str, Any]) -> None:
    answer = page_as(admin_user).post(f"{LIST}add/", filled(**wrong))
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors[next(iter(wrong))]
    assert not Integration.objects.exists()


def test_name_and_access_client_are_taken_once(admin_user: User, page_as: Knock) -> None:
    integration(access_client_id="e3b0.access")
    for twice in ({}, {"name": "Other", "access_client_id": "e3b0.access"}):
        assert page_as(admin_user).post(f"{LIST}add/", filled(**twice)).status_code == 200
    assert Integration.objects.count() == 1


def test_list_tells_live_tokens_and_last_use(
    admin_user: User, page_as: Knock, django_assert_max_num_queries: Any
) -> None:
    now = timezone.now()
    for number in range(20):
        program = integration(Scope.KPIS_READ, name=f"Program {number}", owner=admin_user)
        tokens.service_of_bearer(token_of(program), now=now)
    ServiceToken.objects.filter(integration=program).update(revoked_at=now)
    with django_assert_max_num_queries(10):
        shown = page_as(admin_user).get(LIST).content.decode()
    counts = re.findall(r'class="field-live_tokens">(\d+)<', shown)
    assert sorted(counts) == ["0", *["1"] * 19]
    assert "kpis:read" in shown


def test_integration_is_never_deleted(admin_user: User, page_as: Knock) -> None:
    program = integration()
    assert page_as(admin_user).post(f"{LIST}{program.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Integration.objects.exists()


# --- Its tokens ---


def test_secret_is_shown_exactly_once(admin_user: User, page_as: Knock) -> None:
    program, browser = integration(Scope.KPIS_READ), page_as(admin_user)
    answer = browser.post(tokens_page(program), {"days": "30", "create": ""})
    (secret,) = SECRET.findall(answer.content.decode())
    assert tokens.service_of_bearer(secret, now=timezone.now()).name == program.name
    assert "no-store" in answer["Cache-Control"]
    for address in (tokens_page(program), f"{LIST}{program.pk}/change/", f"{LIST}{program.pk}/history/", LIST, TOKENS):
        again = browser.get(address).content.decode()
        assert not SECRET.findall(again)
        assert ServiceToken.objects.get().secret_sha256 not in again


def test_token_lives_as_many_days_as_asked(admin_user: User, page_as: Knock) -> None:
    program = integration()
    page_as(admin_user).post(tokens_page(program), {"days": "30", "create": ""})
    token = ServiceToken.objects.get()
    assert (token.expires_at - token.created_at, token.created_by) == (timedelta(days=30), admin_user)
    event = AuditEvent.objects.get(action="token_create")
    assert (event.actor_id, event.object_id, event.after["token"]) == (admin_user.pk, program.pk, token.pk)


@pytest.mark.parametrize("days", ["", "0", "-1", "367", "ten", "9" * 400])
def test_bad_lifetime_is_told_and_makes_nothing(admin_user: User, page_as: Knock, days: str) -> None:
    answer = page_as(admin_user).post(tokens_page(integration()), {"days": days, "create": ""})
    assert answer.status_code == 200
    assert answer.context["form"].errors["days"]
    assert not ServiceToken.objects.exists()


def test_third_token_is_refused_with_the_way_out(admin_user: User, page_as: Knock) -> None:
    program, browser = integration(), page_as(admin_user)
    answers = [browser.post(tokens_page(program), {"days": "30", "create": ""}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert "Revoke one first" in answers[2].content.decode()
    assert ServiceToken.objects.count() == 2


def test_rotation_shows_the_new_secret_and_ends_the_oldest(admin_user: User, page_as: Knock) -> None:
    program = integration()
    oldest, newest = token_of(program), token_of(program)
    answer = page_as(admin_user).post(tokens_page(program), {"days": "30", "rotate": ""})
    assert len(SECRET.findall(answer.content.decode())) == 1
    live = {token.pk for token in program.tokens.live(timezone.now())}
    assert (newest.split("_")[1] in live, oldest.split("_")[1] in live, len(live)) == (True, False, 2)


def test_revoked_token_is_refused_at_once(admin_user: User, page_as: Knock) -> None:
    program = integration()
    text = token_of(program)
    answer = page_as(admin_user).post(tokens_page(program), {"revoke": text.split("_")[1]})
    assert "is revoked" in answer.content.decode()
    with pytest.raises(tokens.InvalidToken):
        tokens.service_of_bearer(text, now=timezone.now())
    assert AuditEvent.objects.get(action="token_revoke").actor_id == admin_user.pk


def test_token_of_another_integration_is_not_revoked_here(admin_user: User, page_as: Knock) -> None:
    other = token_of(integration(name="Other"))
    page_as(admin_user).post(tokens_page(integration()), {"revoke": other.split("_")[1]})
    assert ServiceToken.objects.get().revoked_at is None


@pytest.mark.parametrize("revoke", ["", "x", "a\0b", "x" * 5000])
def test_revoking_nothing_changes_nothing(admin_user: User, page_as: Knock, revoke: str) -> None:
    program = integration()
    token_of(program)
    assert page_as(admin_user).post(tokens_page(program), {"revoke": revoke}).status_code == 200
    assert ServiceToken.objects.get().revoked_at is None


def test_looking_changes_nothing(admin_user: User, page_as: Knock) -> None:
    program = integration()
    assert page_as(admin_user).get(tokens_page(program), {"days": "30", "create": ""}).status_code == 200
    assert not ServiceToken.objects.exists()


@pytest.mark.parametrize("who", ["mim", "executive", "stakeholder"])
def test_others_get_neither_page_nor_token(who: str, request: pytest.FixtureRequest, page_as: Knock) -> None:
    program, browser = integration(), page_as(request.getfixturevalue(who))
    assert browser.get(tokens_page(program)).status_code in (302, 403)
    assert browser.post(tokens_page(program), {"days": "30", "create": ""}).status_code in (302, 403)
    assert not ServiceToken.objects.exists()


@pytest.mark.parametrize("pk", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "1/2"])
def test_unknown_integration_is_404(admin_user: User, page_as: Knock, pk: str) -> None:
    assert page_as(admin_user).get(f"{LIST}{pk}/tokens/").status_code == 404


def test_pages_run_no_inline_script(admin_user: User, page_as: Knock) -> None:
    program, browser = integration(Scope.PUBLISH), page_as(admin_user)
    token_of(program)
    for address in (LIST, f"{LIST}add/", f"{LIST}{program.pk}/change/", tokens_page(program), TOKENS):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", answer.content.decode())
        assert not re.findall(r"<[^>]+\s(?:on\w+|style)=", answer.content.decode())


# --- All tokens ---


@pytest.mark.parametrize("state", ["live", "expired", "revoked"])
def test_tokens_are_listed_by_state(admin_user: User, page_as: Knock, state: str) -> None:
    now, program = timezone.now(), integration()
    ids = {}
    for word, past in (("expired", timedelta(days=9)), ("revoked", timedelta(0)), ("live", timedelta(0))):
        ids[word] = tokens.mint(program, by=None, now=now - past, expires_at=now - past + timedelta(days=1))[0]
    tokens.revoke(ids["revoked"], by=None, now=now)
    shown = page_as(admin_user).get(TOKENS, {"state": state}).content.decode()
    assert [word for word, token in ids.items() if str(token) in shown] == [state]


def test_tokens_are_only_looked_at(admin_user: User, page_as: Knock) -> None:
    token_of(integration())
    token, browser = ServiceToken.objects.get(), page_as(admin_user)
    browser.post(f"{TOKENS}{token.pk}/change/", {"revoked_at_0": "", "expires_at_0": "2030-01-01"})
    assert browser.get(f"{TOKENS}add/").status_code == 403
    assert ServiceToken.objects.get().expires_at == token.expires_at
    assert token.secret_sha256 not in browser.get(f"{TOKENS}{token.pk}/change/").content.decode()


def test_hash_cannot_be_guessed_by_filtering(admin_user: User, page_as: Knock) -> None:
    token_of(integration())
    token, browser = ServiceToken.objects.get(), page_as(admin_user)
    for start in (token.secret_sha256[:8], "x"):
        assert browser.get(TOKENS, {"secret_sha256__startswith": start}).status_code == 400
