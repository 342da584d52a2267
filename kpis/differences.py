"""RULES: what differs between two versions of a definition: texts word by word, formulas and targets key by key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words: `same`, `gone` or `new`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key of a formula or of the targets. None: it is not there."""

    path: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs: as words if it is text, else as keys."""

    name: str
    words: tuple[Piece, ...] = ()
    keys: tuple[KeyChange, ...] = ()

    def __str__(self) -> str:
        if self.keys:
            return "\n".join(f"{key.path}: {_shown(key.old)} → {_shown(key.new)}" for key in self.keys)
        marks = {"same": "{}", "gone": "[-{}-]", "new": "{{+{}+}}"}
        return "".join(marks[piece.kind].format(piece.text) for piece in self.words)


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[FieldChange]:
    """The fields that differ, in the order of `new`."""
    names = [*new, *(name for name in old if name not in new)]
    return [_changed(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _changed(name: str, old: object, new: object) -> FieldChange:
    if isinstance(old, str) and isinstance(new, str):
        return FieldChange(name, words=tuple(pieces(old, new)))
    return FieldChange(name, keys=tuple(key_changes(old, new)))


def pieces(old: str, new: str) -> Iterator[Piece]:
    """The new text with what was taken out and put in, word by word."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    for kind, start, end, begin, until in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", "".join(before[start:end]))
            continue
        if end > start:
            yield Piece("gone", "".join(before[start:end]))
        if until > begin:
            yield Piece("new", "".join(after[begin:until]))


def key_changes(old: object, new: object) -> Iterator[KeyChange]:
    """Every key whose value differs, by its path."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for path in [*before, *(path for path in after if path not in before)]:
        was, now = before.get(path, _NOTHING), after.get(path, _NOTHING)
        if was != now:
            yield KeyChange(path, _text(was), _text(now))


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from _flat(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and any(isinstance(each, dict | list) for each in value):
        for index, each in enumerate(value):
            yield from _flat(each, f"{path}.{index}" if path else str(index))
    elif value is not None or path:
        yield path, value


def _text(value: object) -> str | None:
    if value is _NOTHING:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: str | None) -> str:
    return "—" if value is None else value
