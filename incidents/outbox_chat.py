"""RULES: a notice as Slack and Microsoft Teams take it. The same words in both; nobody's text becomes markup."""

from __future__ import annotations

import re
from typing import Any

from incidents.outbox_words import Words

#: Limits of the two, less what an ellipsis takes.
HEADER, SECTION, FACTS = 149, 2_900, 10


def slack_body(words: Words) -> dict[str, Any]:
    """Block Kit. `plain_text` shows what it is given; in the fallback line Slack reads &, < and > as its own."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(words.subject, HEADER)}]
    if words.headline:
        blocks.append({"type": "section", "text": _plain(words.headline, SECTION)})
    if words.text:
        blocks.append({"type": "section", "text": _plain(words.text, SECTION)})
    if words.facts:
        fields = [_plain(f"{label}: {value}", 1_900) for label, value in words.facts[:FACTS]]
        blocks.append({"type": "section", "fields": fields})
    if words.link:
        button = {"type": "button", "text": _plain("Open in MajorOps", 70), "url": words.link}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": escaped_for_slack(_cut(words.first_line, SECTION)), "blocks": blocks, "unfurl_links": False}


def escaped_for_slack(text: str) -> str:
    """Without this `<!channel>` would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams_body(words: Words) -> dict[str, Any]:
    """An Adaptive Card in a message. Text blocks read Markdown, so its signs are escaped."""
    body: list[dict[str, Any]] = [_block(words.subject, size="Large", weight="Bolder")]
    if words.headline:
        body.append(_block(words.headline, weight="Bolder"))
    body += [_block(part) for part in words.text.split("\n") if part.strip()]
    if words.facts:
        facts = [{"title": label, "value": escaped_for_teams(value)} for label, value in words.facts]
        body.append({"type": "FactSet", "facts": facts})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if words.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in MajorOps", "url": words.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def escaped_for_teams(text: str) -> str:
    """Markdown of Adaptive Cards: emphasis, links, lists and its back slash."""
    signs = re.sub(r"([\\`*_\[\]()<>#~|])", r"\\\1", text)
    return re.sub(r"^(\s*)([-+]|\d+\.)(?=\s)", r"\1\\\2", signs, flags=re.MULTILINE)


def _block(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": escaped_for_teams(_cut(text, 5_000)), "wrap": True, **looks}


def _plain(text: str, length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(text, length), "emoji": False}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
