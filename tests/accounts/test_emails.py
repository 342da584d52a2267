"""One canonical form; everything ambiguous is refused before it is lower-cased."""

from __future__ import annotations

import pytest

from accounts.emails import MalformedEmail, canonical_email


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mim@example.com", "mim@example.com"),
        ("MIM@Example.COM", "mim@example.com"),
        ("kim+night@example.com", "kim+night@example.com"),
        ("a.b@mail.example.co.uk", "a.b@mail.example.co.uk"),
    ],
)
def test_the_canonical_form(text: str, canonical: str) -> None:
    assert canonical_email(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "mim",
        "mim@",
        "@example.com",
        "mim@localhost",
        "a@b@example.com",
        "mim@example.com, admin@example.com",
        "mim@example.com,admin@example.com",
        " mim@example.com",
        "mim@example.com\n",
        "mim @example.com",
        '"m m"@example.com',
        "mi\u212ae@example.com",
        "\uff4dim@example.com",
        "m\u0456m@example.com",
        "mim@ex\u200bample.com",
        "mim@[127.0.0.1]",
        "mim@10.0.0.1",
        ".mim@example.com",
        "mim.@example.com",
        "mim@example..com",
        "mim@-example.com",
        "m\0im@example.com",
        "x" * 65 + "@example.com",
        "mim@" + "a." * 130 + "com",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedEmail):
        canonical_email(text)
