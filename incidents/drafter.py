"""An optional language model behind the rules: it gets the same facts and gives a draft, which a person accepts or not.

The contract, for whoever puts one there. One POST of JSON:

    {"version": 1, "task": "exec_summary", "language": "en", "max_characters": 1200, "facts": {...}}

`facts` are those of incidents/summaries.py, the ones executives read. With MAJOROPS_DRAFTER_TOKEN the request has
`Authorization: Bearer <token>`. The answer is 200 with `Content-Type: application/json` and `{"summary": "<text>"}`.
Everything else is a failure, and the rules draft instead: a redirect, another status, more than 64 KiB, a summary that
is empty or too long, and no whole answer in time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.conf import settings

from incidents import summaries
from incidents.models import Origin
from incidents.summaries import LENGTH, Facts
from majorops.lib.errors import Invalid
from majorops.lib.outgoing import AddressRefused, NoAnswer, NotSent, exchange
from majorops.lib.text import clean_text

#: No summary is longer, whatever its alphabet.
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft and who made it; `note` says why it was not the language model if that was asked."""

    body: str
    origin: Origin
    note: str = ""


class NoDraft(Exception):
    """The language model gave none; the words say why, for people."""


def is_offered() -> bool:
    """Whether a language model is set up here."""
    return bool(settings.MAJOROPS_DRAFTER_URL)


def by_rules(facts: Facts, note: str = "") -> Draft:
    return Draft(summaries.draft(facts), Origin.RULES, note)


def by_model(facts: Facts, *, is_restricted: bool) -> Draft:
    """From the language model; by the rules, with the reason, where it gives none. It never raises."""
    try:
        if not is_offered():
            raise NoDraft("No language model is set up.")
        if is_restricted:
            raise NoDraft("A restricted incident is not sent to a language model.")
        return Draft(_asked(facts), Origin.MODEL)
    except NoDraft as why:
        return by_rules(facts, note=f"{why} The draft below was made by rules.")


def _asked(facts: Facts) -> str:
    url, within = settings.MAJOROPS_DRAFTER_URL, settings.MAJOROPS_DRAFTER_TIMEOUT
    if not url.startswith(("https://", "http://")):
        raise NoDraft("MAJOROPS_DRAFTER_URL must be an address that begins with https:// or http://.")
    asked = {"version": 1, "task": "exec_summary", "language": "en", "max_characters": LENGTH, "facts": facts.as_json()}
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "MajorOps"}
    if token := settings.MAJOROPS_DRAFTER_TOKEN:
        headers["Authorization"] = f"Bearer {token}"
    is_guarded = not settings.MAJOROPS_DRAFTER_TO_PRIVATE
    body = json.dumps(asked).encode()
    # What is said of a failure names neither the address nor the token: both may be secret.
    try:
        answer = exchange(url, body, headers, guarded=is_guarded, within=within, patient=True, most=MAX_ANSWER + 1)
    except AddressRefused:
        told = "The address of the language model leads into a private network (MAJOROPS_DRAFTER_TO_PRIVATE)."
        raise NoDraft(told) from None
    except NoAnswer:
        raise NoDraft(f"The language model did not answer within {within:g} s.") from None
    except (NotSent, ValueError):
        raise NoDraft("The language model could not be reached.") from None
    if answer.status != 200 or answer.kind != "application/json":
        raise NoDraft(f"The language model answered {answer.status} {answer.kind}.")
    return _read(answer.body)


def _read(body: bytes) -> str:
    if len(body) > MAX_ANSWER:
        raise NoDraft("The language model answered too much.")
    try:
        told = json.loads(body)
        summary = told.get("summary") if isinstance(told, dict) else None
        return clean_text(summary, field="summary", max_length=LENGTH, required=True)
    except (ValueError, RecursionError, Invalid):
        raise NoDraft(f"The language model gave no summary of at most {LENGTH} characters.") from None
