"""What an assertion proves, and where the boundaries of its times lie."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.assertion import Assertion, InvalidToken, fingerprint, verify
from tests.identity import ACCEPTED, AUDIENCE, KID, MISSING, TEAM, claims, mint, of_program, private_key, sign

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
THEN = int(NOW.timestamp())
TIMES = {"iat": THEN, "nbf": THEN, "exp": THEN + 3600}


def key_for(kid: str) -> Any:
    return private_key().public_key() if kid == KID else None


def proven(token: str) -> Assertion:
    return verify(token, key_for=key_for, accepted=ACCEPTED, now=NOW)


def reason(token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        proven(token)
    return refused.value.reason


def test_a_person() -> None:
    token = mint(**TIMES, custom={"groups": ["sre", "mim on call"]})
    assert proven(token) == Assertion(
        email="mim@example.com",
        common_name="",
        issuer=TEAM,
        subject="subject-of-mim",
        groups=("sre", "mim on call"),
        expires_at=datetime(2026, 3, 2, 13, 0, tzinfo=UTC),
        fingerprint=fingerprint(token),
    )


def test_a_program() -> None:
    said = proven(of_program("ci.access", **TIMES))
    assert (said.email, said.common_name, said.subject) == ("", "ci.access", "")


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["another", AUDIENCE], "second-audience"])
def test_one_audience_of_ours_is_enough(audience: object) -> None:
    assert proven(mint(**TIMES, aud=audience)).subject == "subject-of-mim"


@pytest.mark.parametrize(
    ("claim", "seconds", "holds"),
    [
        ("exp", -31, False),
        ("exp", -30, False),
        ("exp", -29, True),
        ("iat", 29, True),
        ("iat", 30, True),
        ("iat", 31, False),
        ("nbf", 29, True),
        ("nbf", 30, True),
        ("nbf", 31, False),
        ("nbf", -31, True),
        ("nbf", -29, True),
        ("iat", -31, True),
        ("iat", -29, True),
        ("exp", 29, True),
        ("exp", 31, True),
    ],
)
def test_clocks_may_differ_by_thirty_seconds(claim: str, seconds: int, holds: bool) -> None:
    token = mint(**{**TIMES, "iat": THEN - 100, claim: THEN + seconds})
    if holds:
        assert proven(token)
    else:
        assert reason(token).startswith("expired" if claim == "exp" else claim)


def test_a_clock_that_is_behind_is_named() -> None:
    assert "is the clock of this machine behind?" in reason(mint(**{**TIMES, "iat": THEN + 3600, "exp": THEN + 7200}))


@pytest.mark.parametrize(("days", "holds"), [(30, True), (31, False)])
def test_a_token_lives_thirty_days_at_most(days: int, holds: bool) -> None:
    token = mint(**{**TIMES, "exp": THEN + days * 86_400})
    assert proven(token) if holds else "would live" in reason(token)


def test_what_is_accepted_comes_from_the_settings() -> None:
    strict = dataclasses.replace(ACCEPTED, leeway=0, max_lifetime=60)
    with pytest.raises(InvalidToken, match="not valid here"):
        verify(mint(**TIMES), key_for=key_for, accepted=strict, now=NOW)


@pytest.mark.parametrize("groups", ["sre", [1], [""], ["a" * 201], {"sre": True}])
def test_groups_are_a_list_of_names(groups: object) -> None:
    assert "groups" in reason(mint(**TIMES, custom={"groups": groups}))


@pytest.mark.parametrize("custom", [MISSING, {}, None, {"other": 1}, "text"])
def test_without_the_claim_there_are_no_groups(custom: object) -> None:
    assert proven(mint(**TIMES, custom=custom)).groups == ()


@pytest.mark.parametrize("subject", ["", MISSING, None, 7, "a\x00b", "\ud800", "a" * 201])
def test_a_person_has_a_subject_that_can_be_stored(subject: object) -> None:
    assert "sub is" in reason(mint(**TIMES, sub=subject))


@pytest.mark.parametrize("name", ["", None, 7, ["x"], "a\nb", "a" * 201])
def test_a_program_has_a_name_and_no_subject(name: Any) -> None:
    assert "common_name is" in reason(of_program(name, **TIMES))
    assert "common_name is" in reason(of_program("ci.access", **TIMES, sub="someone"))


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"crit": ["x"]}, {"b64": False}, {"kid": "../x"}]
)
def test_a_header_that_is_not_ours_asks_for_no_key(header: dict[str, Any]) -> None:
    """A forged name of a key would cost a fetch."""
    asked: list[str] = []
    token = sign(claims(**TIMES), header={"alg": "RS256", "kid": KID, **header})
    with pytest.raises(InvalidToken):
        verify(token, key_for=asked.append, accepted=ACCEPTED, now=NOW)  # type: ignore[arg-type, func-returns-value]
    assert asked == []


def test_the_refusal_does_not_tell_the_sender_why() -> None:
    with pytest.raises(InvalidToken) as refused:
        proven(mint(**{**TIMES, "exp": THEN - 100, "iat": THEN - 200}))
    error = refused.value
    assert (error.status, error.code, error.details) == (401, "invalid_token", {})
    assert "expired" in error.reason
    assert "expired" not in error.message


def test_a_reason_cannot_forge_a_line_of_the_log() -> None:
    assert "\n" not in reason(mint(**TIMES, iss="x\n2026 INFO all is well"))
    assert "\n" not in reason(sign(claims(**TIMES), header={"alg": "a\nb", "kid": KID}))
    assert len(reason(mint(**TIMES, iss="x" * 3000))) < 200
