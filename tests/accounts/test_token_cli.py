"""`mim token`: from the server, the secret alone on stdout."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from typer.testing import CliRunner, Result

from accounts import tokens
from accounts.models import AuditEvent, Integration, ServiceToken
from accounts.scopes import Scope
from accounts.token_cli import IntegrationNotFound, OtherScopes, TokenNotFound, app
from majorops.lib.errors import Invalid
from tests.accounts.programs import integration, token_of

pytestmark = pytest.mark.django_db


def token(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_token_and_integration_are_made_at_once() -> None:
    result = token("create", "Alertmanager prod", "--scope", "alerts:write", "--scope", "publish", "--days", "30")
    service = tokens.service_of_bearer(result.stdout.strip(), now=timezone.now())
    made = ServiceToken.objects.get()
    assert (service.name, service.scopes) == ("Alertmanager prod", {"alerts:write", "publish"})
    assert made.expires_at - made.created_at == timedelta(days=30)
    assert [event.action for event in AuditEvent.objects.order_by("id")] == ["integration_change", "token_create"]


def test_stdout_is_the_secret_and_nothing_else() -> None:
    result = token("create", "Alertmanager prod", "--scope", "alerts:write")
    assert len(result.stdout.splitlines()) == 1
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_known_integration_needs_no_scopes_and_keeps_its_own() -> None:
    integration(Scope.KPIS_READ)
    assert token("create", "Alertmanager prod").exit_code == 0
    assert token("create", "Alertmanager prod", "--scope", "kpis:read").exit_code == 0
    assert Integration.objects.get().scopes == ["kpis:read"]


def test_other_scopes_are_refused_not_silently_given() -> None:
    integration(Scope.KPIS_READ)
    assert isinstance(token("create", "Alertmanager prod", "--scope", "publish").exception, OtherScopes)
    assert not ServiceToken.objects.exists()


def test_unknown_name_without_scopes_is_refused_with_the_near_one() -> None:
    integration()
    refused = token("create", "Alertmanager prd").exception
    assert isinstance(refused, IntegrationNotFound)
    assert "Did you mean Alertmanager prod?" in refused.message


@pytest.mark.parametrize("days", ["0", "-1", "367", "99999999999"])
def test_bad_lifetime_leaves_no_integration_behind(days: str) -> None:
    assert isinstance(token("create", "New", "--scope", "publish", "--days", days).exception, Invalid)
    assert not Integration.objects.exists()


def test_unknown_scope_is_a_usage_error() -> None:
    assert token("create", "New", "--scope", "admin:all").exit_code == 2


def test_third_token_is_refused() -> None:
    for _ in range(2):
        token("create", "Alertmanager prod", "--scope", "publish")
    assert isinstance(token("create", "Alertmanager prod").exception, tokens.TooManyTokens)


def test_list_tells_states_and_no_secret() -> None:
    text = token_of(integration(Scope.KPIS_READ))
    token("revoke", text)
    (row,) = json.loads(token("list", "--json").stdout)
    assert (row["integration"], row["state"], row["scopes"]) == ("Alertmanager prod", "revoked", ["kpis:read"])
    plain = token("list").stdout
    assert "revoked" in plain
    assert text.split("_", 2)[2] not in plain + str(row)
    assert ServiceToken.objects.get().secret_sha256 not in plain + str(row)


def test_rotation_says_how_to_end_the_former_one() -> None:
    former = token_of(integration()).split("_")[1]
    result = token("rotate", "Alertmanager prod")
    assert tokens.service_of_bearer(result.stdout.strip(), now=timezone.now())
    assert f"mim token revoke {former}" in result.stderr


def test_rotation_of_nothing_is_refused() -> None:
    assert isinstance(token("rotate", "Nothing").exception, IntegrationNotFound)


@pytest.mark.parametrize("whole", [True, False])
def test_revoked_token_is_refused_at_once(whole: bool) -> None:
    text = token_of(integration())
    result = token("revoke", text if whole else text.split("_")[1])
    assert result.exit_code == 0
    with pytest.raises(tokens.InvalidToken):
        tokens.service_of_bearer(text, now=timezone.now())
    assert "was already revoked" in token("revoke", text).stdout


@pytest.mark.parametrize("unknown", ["0" * 12, "", "nonsense", "a\0b"])
def test_unknown_token_is_told(unknown: str) -> None:
    assert isinstance(token("revoke", unknown).exception, TokenNotFound)
