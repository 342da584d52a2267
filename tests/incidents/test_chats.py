"""What Slack and Microsoft Teams are sent: their published limits, whatever people write.

Slack: docs.slack.dev, Block Kit (header 150 characters, section 3,000, ten fields of 2,000, button 75, address 3,000,
50 blocks, no empty text). Teams: Adaptive Card 1.4 in the envelope of an incoming webhook, 28 KB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents import actions, outbox, webhooks
from incidents.lifecycle import Kind
from incidents.models import Delivery, DeliveryState
from incidents.outbox_chat import escaped_for_teams, slack_body, teams_body
from incidents.outbox_words import Words
from tests.factories import NOON, IncidentFactory, stamp
from tests.incidents.hearing import Hook, running


def has(kind: str, **more: Any) -> dict[str, Any]:
    """An object of one type with these members, and no others."""
    members = {"type": {"const": kind}, **more}
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def words(most: int) -> dict[str, Any]:
    return has("plain_text", text={"type": "string", "minLength": 1, "maxLength": most}, emoji={"const": False})


BUTTON = has("button", text=words(75), url={"type": "string", "pattern": "^https?://", "maxLength": 3000})
BLOCKS = [
    has("header", text=words(150)),
    has("section", text=words(3000)),
    has("section", fields={"type": "array", "minItems": 1, "maxItems": 10, "items": words(2000)}),
    has("actions", elements={"type": "array", "minItems": 1, "maxItems": 25, "items": BUTTON}),
]
SLACK = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 40_000},
        "blocks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": BLOCKS}},
        "unfurl_links": {"type": "boolean"},
    },
    "required": ["text", "blocks"],
    "additionalProperties": False,
}
SAID = {"type": "string", "minLength": 1}
FACT = {"type": "object", "properties": {"title": SAID, "value": SAID}, "required": ["title", "value"]}
LOOKS = {"size": {"const": "Large"}, "weight": {"const": "Bolder"}}
TEXT = has("TextBlock", text=SAID, wrap={"const": True})
PARTS = [
    {**TEXT, "properties": TEXT["properties"] | LOOKS},
    has("FactSet", facts={"type": "array", "minItems": 1, "items": FACT | {"additionalProperties": False}}),
]
CARD = has(
    "AdaptiveCard",
    version={"const": "1.4"},
    body={"type": "array", "minItems": 1, "items": {"oneOf": PARTS}},
    **{"$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"}},
)
OPEN = has("Action.OpenUrl", title=SAID, url={"type": "string", "pattern": "^https?://"})
CARD["properties"]["actions"] = {"type": "array", "items": OPEN}
ATTACHMENT = {
    "type": "object",
    "properties": {
        "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
        "contentUrl": {"type": "null"},
        "content": CARD,
    },
    "required": ["contentType", "content"],
    "additionalProperties": False,
}
TEAMS = has("message", attachments={"type": "array", "minItems": 1, "maxItems": 1, "items": ATTACHMENT})
#: What Teams takes, if it counts two bytes for each character as some of its doors do.
TEAMS_BYTES = 28 * 1024


def wide(value: Any) -> int:
    """The longest text in it, in 16-bit characters."""
    if isinstance(value, dict | list):
        return max((wide(each) for each in (value.values() if isinstance(value, dict) else value)), default=0)
    return len(value.encode("utf-16-le")) // 2 if isinstance(value, str) else 0


def is_taken(kind: str, body: bytes) -> None:
    """Raises what the service would refuse the body for."""
    told = json.loads(body)
    jsonschema.validate(told, SLACK if kind == "slack" else TEAMS)
    if kind == "slack":
        assert wide(told["blocks"][0]) <= 150
        assert wide(told) <= 3000
    else:
        assert len(body.decode().encode("utf-16-le")) <= TEAMS_BYTES


def bodies(said: Words) -> dict[str, bytes]:
    made = {"slack": slack_body(said), "teams": teams_body(said)}
    return {kind: json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() for kind, body in made.items()}


# --- The words, without a house around them ---

MUCH = 20_000
HOSTILE = [
    "x" * MUCH,
    "*" * MUCH,
    "\\" * MUCH,
    '"' * MUCH,
    "😀" * MUCH,
    "語" * MUCH,
    "a\n" * (MUCH // 2),
    "\n" * MUCH,
    "\x07\x1b[31m" * 4_000,
    "\x00",
    " \t\r\n ",
    "",
    "a\u2028b\u2029c\x85d",
    "<!channel> <@U1> <https://evil.example|click> & `code`",
    "[click](https://evil.example) ![x](https://evil.example) {{DATE(2017-02-14T06:08:39Z, SHORT)}} <at>all</at>",
    "---\n1. one\n- two\n+ three\n# four\n> five",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:8]))
def test_whatever_is_written_both_take_it(text: str) -> None:
    said = Words(text, text, text, tuple((f"Label {number}", text) for number in range(12)), "https://example.com/i/1")
    for kind, body in bodies(said).items():
        is_taken(kind, body)


ANY = st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore").decode())
MANY = st.builds(lambda text, times: text * times, ANY, st.sampled_from([1, 1, 30, 400]))


@settings(max_examples=15)
@given(
    st.builds(Words, MANY, MANY, MANY, st.lists(st.tuples(st.just("Label"), MANY), max_size=12).map(tuple), st.just(""))
)
def test_no_text_makes_a_body_that_is_refused(said: Words) -> None:
    for kind, body in bodies(said).items():
        is_taken(kind, body)


def test_what_is_cut_says_so_and_what_fits_is_whole() -> None:
    said = Words("Search is slow", "Update", "We restart it.\n" * 3, (), "")
    assert slack_body(said)["blocks"][2]["text"]["text"] == "We restart it.\nWe restart it.\nWe restart it."
    assert len(teams_body(said)["attachments"][0]["content"]["body"]) == 2 + 3
    long = Words("x" * 200, "", "y" * 9_000, (), "")
    assert [block["text"]["text"][-1] for block in slack_body(long)["blocks"]] == ["…", "…"]
    assert teams_body(long)["attachments"][0]["content"]["body"][-1]["text"][-1] == "…"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("- one", "\\- one"),
        ("1. two", "1\\. two"),
        ("  + three", "  \\+ three"),
        ("---", "\\---"),
        ("{{DATE(x)}}", "\\{\\{DATE\\(x\\)\\}\\}"),
        ("well-known 1.5", "well-known 1.5"),
    ],
)
def test_nobodys_text_is_markup_in_a_card(text: str, escaped: str) -> None:
    assert escaped_for_teams(text) == escaped


# --- Through the outbox, to a program that listens ---


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.DEBUG, settings.MAJOROPS_DELIVER_IN_PROCESS, settings.MAJOROPS_SURVEY_DAYS = True, False, 0
    settings.MAJOROPS_PUBLIC_URL = "https://majorops.example.com"
    with running(Hook()) as server:
        for kind in ("slack", "teams"):
            webhooks.create(name=kind, kind=kind, url=server.url, by=None, now=NOON)
        yield server


def heard(hook: Hook) -> dict[str, bytes]:
    outbox.deliver_due(NOON)
    return {"teams" if b'"attachments"' in each.body else "slack": each.body for each in hook.heard}


@pytest.mark.django_db
def test_both_chats_say_the_same_and_nobody_is_shouted_at(hook: Hook) -> None:
    incident = IncidentFactory(title="<!channel> *bold*", kind=Kind.DRILL)
    actions.post_update(incident, "[click](https://evil.example) <@U1>", visibility="public", stamp=stamp())
    slack, teams = (json.loads(body) for _, body in sorted(heard(hook).items()))
    assert slack["text"] == "DRILL: &lt;!channel&gt; *bold*: Update"
    assert {block["text"]["type"] for block in slack["blocks"] if "text" in block} == {"plain_text"}
    card = teams["attachments"][0]["content"]
    assert card["body"][0]["text"] == r"DRILL: \<!channel\> \*bold\*"
    assert card["body"][2]["text"] == r"\[click\]\(https://evil.example\) \<@U1\>"
    assert [fact["value"] for fact in card["body"][3]["facts"]][:2] == ["Critical", "Active"]
    assert all("secret-path" not in delivery.address for delivery in Delivery.objects.all())


@pytest.mark.django_db
def test_the_longest_update_there_is_arrives_in_both(hook: Hook) -> None:
    incident = IncidentFactory(title="😀" * 200, customer_impact_summary="*" * 9_000, affected_systems=["語" * 90] * 40)
    actions.post_update(incident, "😀\n" * 9_999 + "x", visibility="public", stamp=stamp())
    for kind, body in heard(hook).items():
        is_taken(kind, body)
    assert {row.state for row in Delivery.objects.all()} == {DeliveryState.SENT}
