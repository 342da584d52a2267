"""Files of other systems as events: our own JSON lines, a journal of actions, CSV with a mapping, and `git log`.

A reader gives (record number, event). What a column or a detail holds is text; the kind's schema says what it means.
"""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TextIO
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kpis.facts.checking import KindRule
from kpis.facts.schema import Schema, Type
from majorops.lib import safe_json
from majorops.lib.errors import Invalid

Event = dict[str, Any]
Numbered = Iterator[tuple[int, Event | Invalid]]
Kinds = Mapping[str, KindRule]
Pattern = Annotated[str, AfterValidator(lambda text: re.compile(text).pattern)]
Several = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class FileNotRead(Invalid):
    """This file cannot be read as facts."""

    code = "file_refused"


# --- Values ---


def valued(text: str, type: Type) -> object:
    """What a text means as a value of the type; a text that does not fit stays text, and is refused as such."""
    if type in (Type.INT, Type.NUMBER, Type.DURATION):
        try:
            return int(text) if re.fullmatch(r"-?\d{1,18}", text) else float(text)
        except ValueError:
            return text
    if type is Type.BOOL:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    return text


def _fitting(found: Mapping[str, object], schema: Schema) -> Event:
    """What of it the kind knows, in its types."""
    payload = {}
    for name, value in found.items():
        if name in schema.fields and value not in (None, ""):
            payload[name] = valued(value, schema.fields[name].type) if isinstance(value, str) else value
    return payload


# --- JSON lines of events ---


def json_lines(file: Iterable[str]) -> Numbered:
    """Events as the API takes them, one a line."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, _object(line)


def _object(line: str) -> Event | Invalid:
    """Read as strictly as the API does: a key that is there twice, or a byte that is no text, is not guessed at."""
    try:
        found = safe_json.parse(line.encode(errors="surrogateescape"))
    except safe_json.NotJson as error:
        return FileNotRead(error.message.replace("The body", "This line", 1))
    return found if isinstance(found, dict) else FileNotRead("This line is no JSON object.")


# --- A journal: {"timestamp", "action", "entity", "details"} ---

#: Actions that say in their name what a field says elsewhere.
ACTIONS: Mapping[str, tuple[str, Event]] = {
    "health_check_pass": ("health_check", {"ok": True}),
    "health_check_fail": ("health_check", {"ok": False}),
}


def journal(file: Iterable[str], kinds: Kinds) -> Numbered:
    """A journal of actions: the action is the kind, `details` (an object, or `name=value name=value`) its fields."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            found = _object(line)
            yield number, found if isinstance(found, Invalid) else _entry(found, kinds)


def _entry(entry: Event, kinds: Kinds) -> Event | Invalid:
    kind, said = ACTIONS.get(str(entry.get("action")), (str(entry.get("action")), {}))
    if kind not in kinds:
        return FileNotRead(f"There is no fact kind {kind[:60]!a}. Define it, or leave such lines out.")
    rule = kinds[kind]
    found = {**_details(entry.get("details")), **said}
    if rule.subject_field and entry.get("entity"):
        found.setdefault(rule.subject_field, entry["entity"])
    at = _seconds(entry.get("timestamp"))
    event: Event = {"kind": kind, "occurredAt": at, "payload": _fitting(found, rule.schema)}
    if rule.subject_type and entry.get("entity"):
        event["subject"] = str(entry["entity"])
    return event


def _details(details: object) -> Event:
    if isinstance(details, dict):
        return details
    return dict(re.findall(r"([a-z][a-z0-9_]*)=(\S+)", str(details or "")))


def _seconds(stamp: object) -> object:
    """Such journals count seconds since 1970, or write the time out, in UTC where they name no zone."""
    if isinstance(stamp, int | float) and not isinstance(stamp, bool):
        return int(stamp * 1000) if stamp < 1e11 else int(stamp)
    return _zoned(str(stamp), "UTC")


# --- CSV ---


ANY = ("*",)


class Column(BaseModel):
    """Where a value comes from: a column, a place in the JSON that a column holds, or the mapping itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = ""
    #: `head.sha` in the JSON of the column.
    path: str = ""
    value: Any = None
    #: What words of the file mean; a word that is not named is left out.
    words: Mapping[str, Any] = Field(default_factory=dict)


def _column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


From = Annotated[Column, BeforeValidator(_column)]


class Mapped(BaseModel):
    """How the rows of one CSV are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    occurred_at: From
    #: For strptime; empty for ISO 8601.
    time_format: str = ""
    zone: str = "UTC"
    #: What stands between two columns.
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    subject: From | None = None
    actor: From | None = None
    #: Columns whose values, together, make a row one event.
    key: Several = ()
    fields: Mapping[str, From] = Field(default_factory=dict)
    #: Only rows whose column has one of these words; `*` for any.
    only: Mapping[str, Several] = Field(default_factory=dict)
    #: Never rows in whose column this pattern is found.
    without: Mapping[str, Pattern] = Field(default_factory=dict)


def mapping_from(text: str) -> Mapped:
    """A mapping written as TOML. Raises Invalid that says what is wrong."""
    try:
        mapping = Mapped.model_validate(tomllib.loads(text))
        ZoneInfo(mapping.zone)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise FileNotRead(f"The mapping cannot be used: {told}.") from None
    except (tomllib.TOMLDecodeError, re.error, LookupError, ValueError, OSError) as error:
        raise FileNotRead(f"The mapping cannot be used: {error}") from None
    return mapping


def table(file: TextIO, mapping: Mapped, kinds: Kinds) -> Numbered:
    """The rows of a CSV file; the header is record 0. Raises Invalid for an unknown kind or column."""
    if mapping.kind not in kinds:
        raise FileNotRead(f"There is no fact kind {mapping.kind!a}. Define it first.")
    csv.field_size_limit(1024 * 1024)
    rows = csv.DictReader(file, restval="", delimiter=mapping.delimiter)
    if rows.fieldnames is None:
        raise FileNotRead("The file is empty: not even the names of its columns are there.")
    named = [mapping.occurred_at, *mapping.fields.values(), *filter(None, (mapping.subject, mapping.actor))]
    wanted = {*(each.column for each in named if each.column), *mapping.key, *mapping.only, *mapping.without}
    if missing := sorted(wanted - set(rows.fieldnames)):
        raise FileNotRead(f"The file has no column {missing[0]!a}. It has: {', '.join(rows.fieldnames)}.")
    for number, row in enumerate(rows, start=1):
        if _is_wanted(row, mapping):
            try:
                yield number, _mapped(row, mapping, kinds[mapping.kind])
            except FileNotRead as error:
                yield number, error


def _is_wanted(row: Mapping[str, str], mapping: Mapped) -> bool:
    if any(re.search(pattern, row[name]) for name, pattern in mapping.without.items()):
        return False
    return all(row[name] in words or (row[name] and words == ANY) for name, words in mapping.only.items())


def _mapped(row: Mapping[str, str], mapping: Mapped, rule: KindRule) -> Event:
    payload = {name: _found(row, each) for name, each in mapping.fields.items()}
    for name in rule.schema.named(Type.TIME):
        if payload.get(name):
            payload[name] = _time(str(payload[name]), mapping)
    event: Event = {
        "kind": mapping.kind,
        "occurredAt": _time(str(_found(row, mapping.occurred_at) or ""), mapping),
        "payload": _fitting({name: _plain(value) for name, value in payload.items()}, rule.schema),
    }
    if mapping.subject is not None:
        event["subject"] = str(_found(row, mapping.subject) or "")
    if mapping.actor is not None:
        event["actor"] = str(_found(row, mapping.actor) or "")
    if mapping.key:
        event["key"] = ":".join([mapping.kind, *(row[name] for name in mapping.key)])[:200]
    return event


def _plain(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _found(row: Mapping[str, str], place: Column) -> object:
    value: object = row[place.column] if place.column else place.value
    if place.path:
        try:
            value = json.loads(str(value))
            for step in place.path.split("."):
                value = value[step] if isinstance(value, dict) else None
        except (ValueError, KeyError):
            value = None
    return place.words.get(str(value)) if place.words else value


def _time(text: str, mapping: Mapped) -> str:
    if not mapping.time_format:
        return _zoned(text, mapping.zone)
    try:
        at = datetime.strptime(text, mapping.time_format)  # noqa: DTZ007  # its zone is the mapping's
    except ValueError:
        return text
    return _placed(at, mapping.zone).astimezone(UTC).isoformat()


def _zoned(text: str, zone: str) -> str:
    """The time with its zone; what is no time stays, and is refused as such."""
    try:
        at = datetime.fromisoformat(re.sub(r" UTC$", "+00:00", text.strip()))
    except ValueError:
        return text
    return _placed(at, zone).isoformat()


def _placed(at: datetime, zone: str) -> datetime:
    """The time in its zone. Raises FileNotRead where the clocks of the zone never, or twice, show it."""
    if at.tzinfo:
        return at
    first, second = (at.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        skipped = first.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at
        told = "does not exist" if skipped else "comes twice"
        raise FileNotRead(
            f"{at:%Y-%m-%d %H:%M} {told} in {zone}: the clock is changed there. Write it with its offset."
        )
    return first


# --- git log ---

#: What `mim fact import --format git-log` reads.
GIT_LOG = "git log --numstat --date=iso-strict --pretty=format:'commit %H%nAuthor: %ae%nDate: %ad%nCommitted: %cd'"


def git_log(file: Iterable[str], repo: str) -> Numbered:
    """Two facts of each commit: that it came, and how many lines it changed; and one of each day with a commit.
    Authors become aliases."""
    commit: dict[str, str] = {}
    changed: list[tuple[int, int]] = []
    days: set[str] = set()
    number, is_empty = 0, True
    for line in file:
        text, is_empty = line.rstrip("\r\n"), is_empty and not line.strip()
        if match := re.fullmatch(r"commit ([0-9a-f]{7,64})(?: .*)?", text):
            yield from _commit(number, commit, changed, repo, days)
            number, commit, changed = number + 1, {"sha": match[1]}, []
        elif match := re.fullmatch(r"(Author|AuthorDate|Date|Committed|CommitDate): +(.*)", text):
            commit.setdefault(match[1], match[2])
        elif match := re.fullmatch(r"(\d+|-)\t(\d+|-)\t.*", text):  # "-" for binary files
            changed.append((int(match[1]) if match[1] != "-" else 0, int(match[2]) if match[2] != "-" else 0))
    yield from _commit(number, commit, changed, repo, days)
    if not commit and not is_empty:
        yield 1, FileNotRead(f"There is no commit in it. Write the log with: {GIT_LOG}")


def _commit(
    number: int, commit: Mapping[str, str], changed: list[tuple[int, int]], repo: str, days: set[str]
) -> Numbered:
    if not commit:
        return
    authored = commit.get("AuthorDate") or commit.get("Date")
    committed = commit.get("Committed") or commit.get("CommitDate") or authored
    if committed is None:
        yield number, FileNotRead(f"Commit {commit['sha'][:12]} has no date. Write the log with: {GIT_LOG}")
        return
    author = (
        re.sub(r".*<(.*)>.*", r"\1", commit.get("Author", "")).encode(errors="surrogateescape").decode(errors="replace")
    )
    about = {"sha": commit["sha"], "repo": repo, **({"author": author} if author else {})}
    at = _git_time(committed)
    authored_at = {"authored_at": _git_time(authored)} if authored else {}
    pushed = {"kind": "commit.pushed", "occurredAt": at, "payload": {**about, **authored_at}}
    yield number, {**pushed, "key": f"commit:{repo}:{commit['sha']}"}
    lines = {"added": sum(one for one, _ in changed), "deleted": sum(two for _, two in changed), "files": len(changed)}
    told = {"kind": "code_contribution", "occurredAt": at, "payload": {**about, **lines}}
    yield number, {**told, "key": f"lines:{repo}:{commit['sha']}"}
    if (day := at[:10]) not in days:
        days.add(day)
        of_day = {"kind": "commit_day", "occurredAt": at, "payload": {"repo": repo, "day": day}}
        yield number, {**of_day, "key": f"commit_day:{repo}:{day}"}


def _git_time(text: str) -> str:
    """ISO as `--date=iso-strict` writes it, or git's own form (`Tue Mar 3 18:37:38 2020 +0100`)."""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    for form in ("%a %b %d %H:%M:%S %Y %z", "%Y-%m-%d %H:%M:%S %z"):
        try:
            return datetime.strptime(text, form).isoformat()  # noqa: DTZ007  # both forms have %z
        except ValueError:
            continue
    return text
