"""The quick way in: most lines are plain and right, and these are admitted at the speed of a C decoder.

Whatever is unusual in any way goes to the reference (checking.py), which alone refuses. So both accept the same events
as the same facts, as long as what is admitted here is a part of what the reference accepts; a property test holds
them to it.

The decoder keeps the last of two equal keys, where the reference refuses. They are told by counting: each key of a
line without a blank before its colon ends in `":`, so a line has as many of these as the decoded objects have keys, or
it has two equal ones, or a text that looks like a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from kpis.facts.checking import (
    MAX_ACTOR,
    MAX_KEY,
    MAX_SUBJECT,
    OCCURRED,
    Checked,
    KindRule,
    Terms,
    made_key,
    payload_text,
)
from kpis.facts.schema import MAX_NUMBER, MAX_TEXT, Type
from majorops.lib.times import EARLIEST, LATEST

#: A longer line is looked at in peace.
MAX_LINE = 8192
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Int = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
_Float = Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
_PositiveInt = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
_PositiveFloat = Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER)]
_TYPES: dict[Type, Any] = {
    Type.STRING: _Text,
    Type.PERSON: _Text,
    Type.INT: _Int,
    Type.NUMBER: _Int | _Float,
    Type.BOOL: bool,
    Type.TIME: str,
    Type.DURATION: _PositiveInt | _PositiveFloat,
}
#: The envelope as it usually comes; anything else in it is for the reference.
_ENVELOPE: tuple[tuple[Any, ...], ...] = (
    ("kind", str),
    ("occurredAt", str, ""),
    ("subject", Annotated[str, msgspec.Meta(max_length=MAX_SUBJECT)], ""),
    ("key", Annotated[str, msgspec.Meta(max_length=MAX_KEY)], ""),
    ("actor", Annotated[str, msgspec.Meta(max_length=MAX_ACTOR)], ""),
    ("requestId", Annotated[str, msgspec.Meta(max_length=MAX_ACTOR)], ""),
    ("confidence", Annotated[float, msgspec.Meta(ge=0, le=1)], 1.0),
)
#: What sends a line to the reference. Where a body has none of them, no line is searched.
DOUBTFUL = (b"@", b"\t", b" :", b"\r", b"\\u0000")
_decode = msgspec.json.Decoder().decode
_convert = msgspec.convert
_NOT_PLAIN = (msgspec.MsgspecError, ValueError, RecursionError, TypeError, KeyError)


class Lane:
    """What is quick for one kind."""

    __slots__ = ("is_open", "rule", "shape", "times")

    def __init__(self, rule: KindRule) -> None:
        self.rule = rule
        self.shape = _event(rule)
        self.times = rule.schema.named(Type.TIME)
        self.is_open = rule.status == "active"


def _event(rule: KindRule) -> type[msgspec.Struct]:
    """A type that msgspec checks events of the kind against."""
    fields = [_ENVELOPE[0], ("payload", _payload(rule)), *_ENVELOPE[1:]]
    return msgspec.defstruct("Event", fields, forbid_unknown_fields=True, gc=False)


def _payload(rule: KindRule) -> type[msgspec.Struct]:
    """A type for its payloads. Fields are numbered, for their names may hold dots."""
    fields: list[Any] = []
    names = {}
    quick = (field for field in rule.schema.fields.values() if field.type in _TYPES or field.enum)
    for number, field in enumerate(quick):  # a list is unknown here, so it goes to the reference
        names[f"f{number}"] = field.name
        typed = (f"f{number}", Literal[field.enum] if field.enum else _TYPES[field.type])
        fields.append(typed if field.required else (*typed, msgspec.UNSET))
    fields.sort(key=len)  # those without a default come first
    return msgspec.defstruct("Payload", fields, rename=names, forbid_unknown_fields=True, gc=False)


class Lanes(dict[str, Lane]):
    """The lane of each kind, made when the first of its facts comes. KeyError for an unknown kind."""

    def __init__(self, kinds: Mapping[str, KindRule]) -> None:
        super().__init__()
        self.kinds = kinds

    def __missing__(self, key: str) -> Lane:
        lane = self[key] = Lane(self.kinds[key])
        return lane


class Gate:
    """Admits the plain lines of one body."""

    def __init__(self, body: bytes, lanes: Lanes, terms: Terms) -> None:
        self.lanes = lanes
        self.latest = terms.latest
        self.doubtful = tuple(mark for mark in DOUBTFUL if mark in body)
        self.has_escapes = b"\\" in body

    def admit(self, line: bytes) -> Checked | None:
        """The fact of a plain line; None where the reference has to look."""
        if len(line) > MAX_LINE:
            return None
        for mark in self.doubtful:
            if mark in line:
                return None
        try:
            event = _decode(line)
            payload = event["payload"]
            if line.count(b'":') != len(event) + len(payload):
                return None
            lane = self.lanes[event["kind"]]
            told: Any = _convert(event, lane.shape)
        except _NOT_PLAIN:
            return None
        if not lane.is_open:
            return None
        for name in lane.times:
            if name in payload:
                moment = _plain_time(payload[name])
                if moment is None:
                    return None
                payload[name] = moment[0]
        return self._fact(told, payload, lane.rule, not self.has_escapes or b"\\" not in line)

    def _fact(self, told: Any, payload: dict[str, Any], rule: KindRule, is_plain: bool) -> Checked | None:
        stated = told.occurredAt
        if not stated and rule.time_field != OCCURRED:
            stated = payload.get(rule.time_field, "")
        moment = _plain_time(stated)
        if moment is None or moment[1] > self.latest:
            return None
        subject = told.subject
        if not subject and rule.subject_field:
            subject = payload.get(rule.subject_field, "")
        if (len(subject) > MAX_SUBJECT or not subject) if rule.subject_type else subject:
            return None
        text = payload_text(payload)
        return Checked(
            rule.key,
            rule.version,
            moment[1],
            moment[0],
            rule.subject_type,
            subject,
            text,
            told.actor,
            told.requestId,
            told.confidence,
            told.key or made_key(rule.key, moment[1], subject, text),
            None,
            is_plain,
        )


def _plain_time(text: str) -> tuple[str, datetime] | None:
    """A time in UTC as we write it, from one written almost so; None for any other form."""
    if len(text) == 20 and text[19] == "Z":
        text = f"{text[:19]}.000Z"
    if len(text) != 24 or text[10] != "T" or text[7] != "-" or text[19] != "." or text[23] != "Z":
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (text, at) if EARLIEST <= at < LATEST and text[11:13] != "24" else None
