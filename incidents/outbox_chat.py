"""RULES: a notice as Slack and Microsoft Teams take it. The same words in both; nobody's text becomes markup.

Both refuse a whole message for one part that is too long or empty, so everything is cut to the limits they publish. The
rest is behind the link.
"""

from __future__ import annotations

import json
import re
from typing import Any

from incidents.outbox_words import Words

#: Slack, in characters. It does not say what a character is, so those beyond 16 bits count twice.
HEADER, SECTION, FIELD, FIELDS, ADDRESS = 150, 3_000, 2_000, 10, 3_000
#: Teams takes 28 KB of a message, and may count two bytes for each of ours.
CARD_BYTES = 13_000
#: Of a card: a heading, the value of a fact, and how much of the text is tried, and of the facts, until the card fits.
HEADING, FACT, TEXTS = 300, 500, (5_000, 2_500, 1_200, 600, 300, 100, 0)
OPEN = "Open in MajorOps"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


# --- Slack ---


def slack_body(words: Words) -> dict[str, Any]:
    """Block Kit. `plain_text` shows what it is given; in the fallback line Slack reads &, < and > as its own."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(_line(words.subject) or OPEN, HEADER)}]
    blocks += [
        {"type": "section", "text": _plain(text, SECTION)}
        for text in (_line(words.headline), _visible(words.text))
        if text
    ]
    if facts := [f"{label}: {text}" for label, value in words.facts if (text := _visible(value))]:
        blocks.append({"type": "section", "fields": [_plain(fact, FIELD) for fact in facts[:FIELDS]]})
    if words.link and len(words.link) <= ADDRESS:
        button = {"type": "button", "text": _plain(OPEN, 75), "url": words.link}
        blocks.append({"type": "actions", "elements": [button]})
    first_line = escaped_for_slack(cut(_line(words.first_line) or OPEN, SECTION))
    return {"text": first_line, "blocks": blocks, "unfurl_links": False}


def escaped_for_slack(text: str) -> str:
    """Without this `<!channel>` would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, length), "emoji": False}


def cut(text: str, length: int) -> str:
    """At most so many 16-bit characters, with an ellipsis where something is missing."""
    wide = text.encode("utf-16-le")
    if len(wide) <= 2 * length:
        return text
    return wide[: 2 * (length - 1)].decode("utf-16-le", "ignore") + "…"


# --- Microsoft Teams ---


def teams_body(words: Words) -> dict[str, Any]:
    """An Adaptive Card in a message, as a workflow takes it, with as much of the text as fits."""
    for length in TEXTS:
        message = _message(words, length)
        if size_of(message) <= CARD_BYTES:
            break
    return message


def size_of(message: dict[str, Any]) -> int:
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def _message(words: Words, length: int) -> dict[str, Any]:
    """Text blocks read Markdown, so its signs are escaped."""
    body: list[dict[str, Any]] = [_block(cut(_line(words.subject) or OPEN, HEADING), size="Large", weight="Bolder")]
    if headline := _line(words.headline):
        body.append(_block(cut(headline, HEADING), weight="Bolder"))
    body += [_block(line) for line in cut(_visible(words.text), max(1, length)).split("\n") if line.strip()]
    values = [(label, cut(_visible(value), min(FACT, length + 100))) for label, value in words.facts[:FIELDS]]
    if facts := [{"title": label, "value": escaped_for_teams(value)} for label, value in values if value]:
        body.append({"type": "FactSet", "facts": facts})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if words.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": OPEN, "url": words.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def escaped_for_teams(text: str) -> str:
    """Markdown of Adaptive Cards: emphasis, links, lists, lines, its back slash, and {{DATE(...)}}."""
    signs = re.sub(r"([\\`*_\[\](){}<>#~|])", r"\\\1", text)
    signs = re.sub(r"^(\s*)([-+])(?=[\s-]|$)", r"\1\\\2", signs, flags=re.MULTILINE)
    return re.sub(r"^(\s*\d+)\.(?=\s|$)", r"\1\\.", signs, flags=re.MULTILINE)


def _block(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": escaped_for_teams(text), "wrap": True, **looks}


# --- Both ---


def _visible(text: str) -> str:
    """Without signs that control a terminal or a printer and show nothing; every kind of line end is one."""
    lines = "\n".join(text.splitlines())
    return _CONTROLS.sub("", lines).strip()


def _line(text: str) -> str:
    """All on one line, as a heading is."""
    return " ".join(_visible(text).split())
