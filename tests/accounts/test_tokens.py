"""Tokens of programs: made, proven, rotated, taken back. Every wrong one is refused alike."""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import tokens
from accounts.models import AuditEvent, Integration, ServiceToken, User
from accounts.roles import Can
from accounts.scopes import Scope
from accounts.tokens import InvalidToken, TooManyTokens, UnknownService, service_of_access_client, service_of_bearer
from majorops.lib.errors import Invalid
from tests.accounts.programs import integration
from tests.factories import NOON

pytestmark = pytest.mark.django_db

YEAR = timedelta(days=366)


def mint(program: Integration, *, now: Any = NOON, lives: timedelta = YEAR) -> tuple[ServiceToken, str]:
    return tokens.mint(program, by=None, expires_at=now + lives, now=now)


# --- Made ---


def test_text_is_shown_once_and_only_its_hash_is_kept() -> None:
    token, text = mint(integration())
    prefix, token_id, secret = text.split("_", 2)
    assert (prefix, token_id, len(secret)) == ("mo", token.pk, 43)
    assert token.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(vars(ServiceToken.objects.get()))


def test_no_two_secrets_are_alike() -> None:
    texts = {mint(integration(name=f"Program {number}"))[1] for number in range(50)}
    assert len({text.split("_", 2)[1] for text in texts}) == len({text.split("_", 2)[2] for text in texts}) == 50


@pytest.mark.parametrize("lives", [timedelta(0), timedelta(days=-1), YEAR + timedelta(seconds=1)])
def test_lifetime_is_a_year_at_most(lives: timedelta) -> None:
    with pytest.raises(Invalid):
        mint(integration(), lives=lives)
    assert not ServiceToken.objects.exists()


def test_third_live_token_is_refused_naming_what_to_revoke() -> None:
    program = integration()
    oldest, _ = mint(program)
    mint(program, now=NOON + timedelta(days=1))
    with pytest.raises(TooManyTokens, match=oldest.pk):
        mint(program, now=NOON + timedelta(days=2))
    tokens.revoke(oldest, by=None, now=NOON)
    mint(program, now=NOON + timedelta(days=2))


def test_expired_token_leaves_room_for_a_new_one() -> None:
    program = integration()
    for _ in range(2):
        mint(program, lives=timedelta(days=1))
    assert mint(program, now=NOON + timedelta(days=2))


def test_program_that_is_switched_off_gets_no_token() -> None:
    with pytest.raises(tokens.IntegrationIsOff):
        mint(integration(is_active=False))


@pytest.mark.django_db(transaction=True)
def test_simultaneous_mints_end_with_two_live_tokens() -> None:
    program, refused = integration(), []

    def run() -> None:
        try:
            mint(program)
        except TooManyTokens:
            refused.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ServiceToken.objects.count(), len(refused)) == (2, 4)


# --- Rotated, revoked ---


def test_rotation_keeps_the_newest_and_ends_the_older() -> None:
    program = integration()
    (_, oldest), (_, newest) = mint(program), mint(program, now=NOON + timedelta(days=1))
    later = NOON + timedelta(days=2)
    _, fresh = tokens.rotate(program, by=None, expires_at=later + YEAR, now=later)
    assert service_of_bearer(fresh, now=later).name == service_of_bearer(newest, now=later).name == program.name
    with pytest.raises(InvalidToken):
        service_of_bearer(oldest, now=later)


def test_revoking_again_changes_nothing() -> None:
    token, _ = mint(integration())
    assert tokens.revoke(token, by=None, now=NOON)
    assert not tokens.revoke(token, by=None, now=NOON + timedelta(days=1))
    token.refresh_from_db()
    assert token.revoked_at == NOON
    assert AuditEvent.objects.filter(action="token_revoke").count() == 1


def test_each_change_is_audited_without_the_secret(admin_user: User) -> None:
    program = integration()
    token, text = tokens.mint(program, by=admin_user, expires_at=NOON + YEAR, now=NOON)
    tokens.rotate(program, by=admin_user, expires_at=NOON + YEAR, now=NOON)
    tokens.revoke(token, by=admin_user, now=NOON)
    events = list(AuditEvent.objects.order_by("id"))
    assert [event.action for event in events] == ["token_create", "token_rotate", "token_revoke"]
    assert {(event.actor_id, event.object_id) for event in events} == {(admin_user.pk, program.pk)}
    assert text.split("_", 2)[2] not in str([vars(event) for event in events])


# --- Proven ---


def test_token_proves_the_program_and_its_scopes() -> None:
    program = integration(Scope.KPIS_READ)
    token, text = mint(program)
    service = service_of_bearer(text, now=NOON)
    assert (service.integration_id, service.name, service.token_id) == (program.pk, program.name, token.pk)
    assert service.can(Can.READ_EXEC_KPIS)
    assert not service.can(Can.COMMAND)


def replaced(text: str, old_at: int) -> str:
    return text[:old_at] + ("A" if text[old_at] != "A" else "B") + text[old_at + 1 :]


MALFORMED: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "prefix only": lambda text: "mo_",
    "no prefix": lambda text: text.removeprefix("mo_"),
    "upper-case prefix": lambda text: "MO" + text[2:],
    "no secret": lambda text: text[:16],
    "short secret": lambda text: text[:-1],
    "long secret": lambda text: text + "A",
    "line break": lambda text: text + "\n",
    "space": lambda text: " " + text,
    "NUL": lambda text: text[:-1] + "\0",
    "another alphabet": lambda text: text[:-1] + "é",
    "fullwidth": lambda text: text[:-1] + "\uff21",
    "other secret": lambda text: replaced(text, 20),
    "last letter changed": lambda text: replaced(text, len(text) - 1),
    "unknown id": lambda text: "mo_" + "0" * 12 + text[15:],
    "id in upper case": lambda text: text[:3] + text[3:15].upper().replace("0", "O") + text[15:],
    "the stored hash": lambda text: text[:16] + hashlib.sha256(text[16:].encode()).hexdigest()[:43],
    "SQL": lambda text: "mo_' OR '1'='1'_" + text[16:],
    "huge": lambda text: text + "A" * 100_000,
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_wrong_token_is_refused(change: Callable[[str], str]) -> None:
    _, text = mint(integration())
    with pytest.raises(InvalidToken) as refused:
        service_of_bearer(change(text), now=NOON)
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


def test_every_refusal_reads_the_same() -> None:
    program = integration()
    expired, ended, off = (mint(program, lives=timedelta(hours=1))[1], *(mint(integration(name=n)) for n in "ab"))
    tokens.revoke(ended[0], by=None, now=NOON)
    Integration.objects.filter(name="b").update(is_active=False)
    told = set()
    for text in (expired, ended[1], off[1], "mo_" + "0" * 12 + "_" + "A" * 43, "nonsense"):
        with pytest.raises(InvalidToken) as refused:
            service_of_bearer(text, now=NOON + timedelta(hours=1))
        told.add((refused.value.message, refused.value.status, str(refused.value.details)))
    assert len(told) == 1


def test_token_is_good_until_the_moment_it_expires() -> None:
    _, text = mint(integration(), lives=timedelta(hours=1))
    assert service_of_bearer(text, now=NOON + timedelta(hours=1, microseconds=-1))
    with pytest.raises(InvalidToken):
        service_of_bearer(text, now=NOON + timedelta(hours=1))


def test_unknown_id_costs_the_work_of_a_wrong_secret() -> None:
    """The same queries, and a comparison each; the medians are of one class."""
    _, text = mint(integration())
    wrong = {"secret": replaced(text, 20), "id": "mo_" + "0" * 12 + text[15:]}
    took: dict[str, list[float]] = {"secret": [], "id": []}
    for _ in range(200):
        for kind, sent in wrong.items():
            begun = time.perf_counter()
            with pytest.raises(InvalidToken):
                service_of_bearer(sent, now=NOON)
            took[kind].append(time.perf_counter() - begun)
    with CaptureQueriesContext(connection) as asked:
        for sent in wrong.values():
            with pytest.raises(InvalidToken):
                service_of_bearer(sent, now=NOON)
    assert len(asked) == 2
    assert 0.4 < statistics.median(took["secret"]) / statistics.median(took["id"]) < 2.5


def test_reason_is_told_to_the_log_only_where_the_secret_was_right(caplog: Any) -> None:
    token, text = mint(integration())
    tokens.revoke(token, by=None, now=NOON)
    for sent in (text, replaced(text, 20)):
        with pytest.raises(InvalidToken):
            service_of_bearer(sent, now=NOON)
    assert [record.getMessage() for record in caplog.records] == [
        f"Token {token.pk} of Alertmanager prod was refused: it was revoked."
    ]


@pytest.mark.parametrize(("minutes", "is_noted"), [(0, False), (4.9, False), (5, True), (60, True)])
def test_last_use_is_noted_every_five_minutes(minutes: float, is_noted: bool) -> None:
    token, text = mint(integration())
    service_of_bearer(text, now=NOON)
    later = NOON + timedelta(minutes=minutes)
    with CaptureQueriesContext(connection) as asked:
        service_of_bearer(text, now=later)
    token.refresh_from_db()
    assert (token.last_used_at, len(asked)) == ((later, 2) if is_noted else (NOON, 1))


# --- Through the access proxy ---


def test_access_client_is_an_integration() -> None:
    program = integration(Scope.METRICS_READ, access_client_id="e3b0.access")
    service = service_of_access_client("e3b0.access", now=NOON)
    assert (service.integration_id, service.token_id) == (program.pk, "")


@pytest.mark.parametrize("common_name", ["", "E3B0.access", "e3b0.acces", "off.access", "e3b0.access\0", "\ud800", " "])
def test_unknown_access_client_is_refused(common_name: str) -> None:
    integration(access_client_id="e3b0.access")
    integration(name="Off", access_client_id="off.access", is_active=False)
    integration(name="Without")
    with pytest.raises(UnknownService):
        service_of_access_client(common_name, now=NOON)
