"""The quick way in: most lines are plain and right, and these are admitted at the speed of a C decoder.

Whatever is unusual in any way goes to the reference (checking.py), which alone refuses. So both accept the same events
as the same facts, as long as what is admitted here is a part of what the reference accepts; a property test holds
them to it.

Lines are looked at many at once: if one of them is unusual, or two are one document, or one is two, all of them are
taken one by one. The decoder keeps the last of two equal keys, where the reference refuses. They are told by counting:
each key without a blank before its colon ends in `":`, and a text that holds these two has them in both spellings. So
the lines have as many of them as the payloads, written anew, and the keys around them, or there were two equal keys (or
the text of an envelope has some, which is rare enough to be looked at in peace).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, Union

import msgspec

from kpis.facts.checking import (
    MAX_ACTOR,
    MAX_KEY,
    MAX_SUBJECT,
    Checked,
    KindRule,
    made_key,
)
from kpis.facts.schema import MAX_NUMBER, MAX_TEXT, Type
from majorops.lib.times import EARLIEST, LATEST, iso

_values = msgspec.structs.astuple
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
_Name = Annotated[str, msgspec.Meta(max_length=MAX_ACTOR)]
#: The envelope as it usually comes, but for the kind; anything else in it is for the reference.
_ENVELOPE: tuple[tuple[str, Any], ...] = (
    ("occurredAt", str),
    ("subject", Annotated[str, msgspec.Meta(max_length=MAX_SUBJECT)]),
    ("key", Annotated[str, msgspec.Meta(max_length=MAX_KEY)]),
    ("actor", _Name),
    ("requestId", _Name),
    ("confidence", Annotated[float, msgspec.Meta(ge=0, le=1)]),
)
#: With kind and payload.
_KEYS = len(_ENVELOPE) + 2
#: What sends a line to the reference. The escapes spell a quote or a colon in a way that makes counting useless.
DOUBTFUL = (b"@", b"\t", b"\r")
DOUBTFUL_ESCAPES = (b"\\u0000", b"\\u0022", b"\\u003a", b"\\u003A")
_NOT_PLAIN = (msgspec.MsgspecError, ValueError, RecursionError)
#: Times so written sort as they follow each other.
_FIRST, _AFTER = str(iso(EARLIEST)), str(iso(LATEST))
_written = msgspec.json.Encoder().encode_lines
_UNSET = msgspec.UNSET


class Lane:
    """What is quick for one kind."""

    __slots__ = ("rule", "shape", "subject", "time", "times")

    def __init__(self, rule: KindRule) -> None:
        self.rule = rule
        payload = _payload(rule)
        self.shape = _event(rule, payload)
        own = {field.encode_name: field.name for field in msgspec.structs.fields(payload)}
        #: The attributes that hold a time; that which says when it happened; that which names what it is about.
        self.times = tuple(own[name] for name in rule.schema.named(Type.TIME) if name in own)
        self.time = own.get(rule.time_field, "")
        self.subject = own.get(rule.subject_field, "")


def _event(rule: KindRule, payload: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """A type that msgspec checks events of the kind against. The kind is its tag."""
    usual = [(name, typed | msgspec.UnsetType, _UNSET) for name, typed in _ENVELOPE]
    return msgspec.defstruct(
        "Event", [("payload", payload), *usual], tag_field="kind", tag=rule.key, forbid_unknown_fields=True, gc=False
    )


def _payload(rule: KindRule) -> type[msgspec.Struct]:
    """A type for its payloads, with the fields in the order of `payload_text`: by name. Attributes are numbered, for a
    name may hold dots."""
    fields: list[Any] = []
    names = {}
    quick = (field for field in rule.schema.fields.values() if field.type in _TYPES or field.enum)
    for number, field in enumerate(sorted(quick, key=lambda field: field.name)):  # a list is for the reference
        names[f"f{number}"] = field.name
        typed = Literal[field.enum] if field.enum else _TYPES[field.type]
        fields.append((f"f{number}", typed) if field.required else (f"f{number}", typed | msgspec.UnsetType, _UNSET))
    return msgspec.defstruct("Payload", fields, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)


class Lanes:
    """The lanes of all kinds that are in use. They are made when the first fact comes."""

    def __init__(self, kinds: Mapping[str, KindRule]) -> None:
        self._kinds = kinds

    @cached_property
    def of(self) -> Mapping[type, Lane]:
        """By the type of their events."""
        return {lane.shape: lane for lane in (Lane(rule) for rule in self._kinds.values() if rule.status == "active")}

    @cached_property
    def decode(self) -> Callable[[bytes], list[Any]]:
        """The events of many lines. Raises one of _NOT_PLAIN."""
        return msgspec.json.Decoder(Union[(*self.of, _Nothing)]).decode_lines


class _Nothing(msgspec.Struct, tag_field="kind", tag="", forbid_unknown_fields=True):
    """No kind has this name; without any kind there still is one type."""


def admitted(lines: Sequence[bytes], lanes: Lanes, latest: datetime) -> list[Checked] | None:
    """The facts of these lines; None if the reference has to look at any of them. No event is later than `latest`."""
    block = b"\n".join(lines)
    is_plain = b"\\" not in block
    doubtful = DOUBTFUL if is_plain else (*DOUBTFUL, *DOUBTFUL_ESCAPES)
    if len(max(lines, key=len)) > MAX_LINE or any(mark in block for mark in doubtful):
        return None
    if b" " in block and b" :" in block:  # to look for one character is quick, for two it is not
        return None
    # In no document does an object begin right after one that ended.
    if not block.startswith(b"{") or not block.endswith(b"}") or block.count(b"}\n{") != len(lines) - 1:
        return None
    try:
        events = lanes.decode(block)
    except _NOT_PLAIN:
        return None
    if len(events) != len(lines):
        return None
    return _facts(events, lanes.of, latest, keys=block.count(b'":'), is_plain=is_plain)


def _facts(
    events: Sequence[Any], lanes: Mapping[type, Lane], latest: datetime, *, keys: int, is_plain: bool
) -> list[Checked] | None:
    """`keys`: how many there seem to be."""
    for event in events:
        if (lane := lanes[type(event)]).times and not _spell_times(event.payload, lane):
            return None
    payloads = _written([event.payload for event in events])
    around = len(events) * _KEYS - sum([_values(event).count(_UNSET) for event in events])
    if keys != payloads.count(b'":') + around:
        return None
    facts: list[Checked] = []
    texts = payloads.decode().split("\n")
    for event, text in zip(events, texts, strict=False):  # there is a line end behind the last one too
        fact = _fact(event, lanes[type(event)], text, latest, is_plain=is_plain)
        if fact is None:
            return None
        facts.append(fact)
    return facts


def _spell_times(payload: Any, lane: Lane) -> bool:
    """Whether all times of the payload are plain; they are as we write them then."""
    for name in lane.times:
        stated = getattr(payload, name)
        if stated is not _UNSET:
            moment = _plain_time(stated)
            if moment is None:
                return False
            setattr(payload, name, moment[0])
    return True


def _fact(event: Any, lane: Lane, text: str, latest: datetime, *, is_plain: bool) -> Checked | None:
    rule, stated, subject = lane.rule, event.occurredAt, event.subject
    if stated is _UNSET:
        stated = (getattr(event.payload, lane.time) or "") if lane.time in lane.times else ""
    moment = _plain_time(stated)
    if moment is None or moment[1] > latest:
        return None
    if not subject:
        named = getattr(event.payload, lane.subject) if lane.subject else ""
        subject = named if isinstance(named, str) else ""
    if (len(subject) > MAX_SUBJECT or not subject) if rule.subject_type else subject:
        return None
    return Checked(
        rule.key,
        rule.version,
        moment[1],
        moment[0],
        rule.subject_type,
        subject,
        text,
        event.actor or "",
        event.requestId or "",
        1.0 if event.confidence is _UNSET else event.confidence,
        event.key or made_key(rule.key, moment[1], subject, text),
        None,
        is_plain,
    )


def _plain_time(text: str) -> tuple[str, datetime] | None:
    """A time in UTC as we write it, from one written almost so; None for any other form."""
    if len(text) == 20 and text[19] == "Z":
        text = f"{text[:19]}.000Z"
    if not _FIRST <= text < _AFTER or len(text) != 24 or text[7:20:3] != "-T::.":  # 2026-03-02T10:00:00.000Z
        return None
    try:
        return (text, datetime.fromisoformat(text)) if text[23] == "Z" and text[11:13] != "24" else None
    except ValueError:
        return None
