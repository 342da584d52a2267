"""What no sender may do to the API: nothing breaks it, and nothing it stores breaks a list afterwards.

Every field of every body of the schema gets every one of these values, as raw JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.test import Client, override_settings
from drf_spectacular.generators import SchemaGenerator

from tests.world import World, build

JSON = "application/json"
HOSTILE = {
    "a NUL": r'"\u0000"',
    "half a pair": r'"\ud800"',
    "the other half": r'"x\udfff"',
    "bidi controls": r'"\u202eevil\u2066"',
    "four bytes": '"😀𝕏"',
    "a noncharacter": r'"\uffff"',
    "a letter with a thousand marks": '"' + "é" + "\u0301" * 1000 + '"',
    "formula": '"=1+1"',
    "markup": '"<script>alert(1)</script>{{7*7}}"',
    "a long text": '"' + "x" * 30_000 + '"',
    "white space": r'" \t\n\u00a0 "',
    "empty": '""',
    "null": "null",
    "true": "true",
    "beyond 64 bits": "9223372036854775808",
    "below 64 bits": "-9223372036854775809",
    "beyond 32 bits": "2147483648",
    "negative": "-1",
    "five thousand digits": "9" * 5000,
    "no number": "NaN",
    "infinite": "-Infinity",
    "huge": "1e400",
    "tiny": "-1e-400",
    "year one": '"0001-01-01T00:00:00+14:00"',
    "year ten thousand": '"10000-01-01T00:00:00Z"',
    "no such day": '"2026-02-30T00:00:00Z"',
    "no zone": '"2026-03-02T10:00:00"',
    "wide digits": '"２０２６-03-02T10:00:00Z"',
    "a list": "[]",
    "an object": "{}",
    "the same key twice": '{"a": 1, "a": 2}',
    "forty deep": "[" * 40 + "]" * 40,
    "five thousand deep": "[" * 5000 + "]" * 5000,
    "ten thousand items": "[" + "1," * 9999 + "1]",
    "a NUL as a key": r'{"\u0000": 1}',
    "a list of halves": r'["\ud800"]',
}
#: Values that make most bodies acceptable, by the name of the field.
KNOWN = {
    "team": "database", "kpi": "mttr", "user": "mim@example.com", "owner": "mim@example.com", "kind": "real",
    "url": "https://hooks.example.com/x", "email": "mim@example.com", "occurredAt": "2026-03-02T12:30:00Z",
}  # fmt: skip
HOLE = "\x1ahole\x1a"


def test_no_value_in_any_field_breaks_the_api_or_a_list_after_it(db: None) -> None:
    """Every field gets every twelfth value here, each time from another one on; tests/drills sends all to all."""
    asked, broken = attack(every=12)
    assert asked > 500
    assert not broken, "\n".join(broken[:20])


def attack(*, every: int) -> tuple[int, list[str]]:
    """How many requests were sent, and which of them, or of the lists after them, broke."""
    world = build()
    client = world.client("admin")
    client.raise_request_exception = False
    schema = schema_of_the_api()
    broken, asked = [], 0
    with override_settings(MAJOROPS_PERSON_WRITES_PER_MINUTE=10**9):
        for number, (method, path, place, whole) in enumerate(holes(schema)):
            for name in list(HOSTILE)[number % every :: every]:
                answer = _send(client, method, addressed(path, world), whole.replace(json.dumps(HOLE), HOSTILE[name]))
                asked += 1
                if answer.status_code >= 500:
                    broken.append(f"{method} {path} {'.'.join(place)} {name}: {answer.content[:200]!r}")
        broken += [f"GET {address}" for address in lists(world) if client.get(address).status_code >= 500]
    return asked, broken


def holes(schema: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Each place of each body, as a text with a hole in it."""
    for method, path, body in bodies(schema):
        for place in places(schema, body):
            yield method, path, place, json.dumps(sample(schema, body, place))


@pytest.mark.parametrize(
    "content", [b"x" * (10 * 1024 * 1024), b'"' + b"\\u0061" * 400_000 + b'"'], ids=["text", "escapes"]
)
def test_body_of_megabytes_is_413(db: None, content: bytes) -> None:
    world = build(figures=False)
    answer = world.client("mim").post("/api/v1/incidents", content, content_type=JSON)
    assert (answer.status_code, answer["Content-Type"]) == (413, "application/problem+json")


def _send(client: Client, method: str, address: str, body: str) -> Any:
    # As any sender can: Python would refuse to encode half a pair, so it stays the escape it is.
    headers = {"If-Match": "*"} if method == "PATCH" else {}
    return client.generic(method, address, body.encode(), content_type=JSON, headers=headers)


@cache
def schema_of_the_api() -> dict[str, Any]:
    """Made once: it takes seconds."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def bodies(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method in ("post", "patch", "put"):
            content = methods.get(method, {}).get("requestBody", {}).get("content", {})
            if JSON in content:
                yield method.upper(), path, content[JSON]["schema"]


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, behind its names; of several shapes that are allowed, the first."""
    while shapes := {"$ref", "allOf", "oneOf"} & part.keys():
        name = part.get("$ref", "").rpartition("/")[2]
        part = schema["components"]["schemas"][name] if name else part[shapes.pop()][0]
    return part


def places(schema: dict[str, Any], part: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a value can stand: the body itself, each field, each field of an object inside, each item of a list."""
    yield at
    part = resolved(schema, part)
    for name, inside in part.get("properties", {}).items():
        yield from places(schema, inside, (*at, name))
    if "items" in part:
        yield (*at, "0")


def sample(schema: dict[str, Any], part: dict[str, Any], hole: tuple[str, ...] | None, name: str = "") -> Any:
    """A body that mostly fits, with the hole at its place; what is optional is left out."""
    if hole == ():
        return HOLE
    part = resolved(schema, part)
    if "properties" in part:
        wanted = {*part.get("required", ()), *(hole or ())[:1]}
        return {
            key: sample(schema, inside, hole[1:] if hole and hole[0] == key else None, key)
            for key, inside in part["properties"].items()
            if key in wanted
        }
    if hole == ("0",):
        return [HOLE]
    return _plain(part, name)


def _plain(part: dict[str, Any], name: str) -> Any:
    if "enum" in part:
        return part["enum"][0]
    kinds = part.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if part.get("format") == "date-time":
        return KNOWN.get(name, "2026-03-02T12:30:00Z")
    plain = {"integer": part.get("minimum", 3), "number": 1.0, "boolean": True, "array": [], "object": {}}
    return plain.get(kind, KNOWN.get(name, "text"))


def addressed(path: str, world: World) -> str:
    for name, values in world.samples.items():
        path = path.replace(f"{{{name}}}", values[0])
    return path


def lists(world: World) -> list[str]:
    """The address of every list of the API."""
    paths = [path for path, methods in schema_of_the_api()["paths"].items() if _is_list(methods.get("get"))]
    assert len(paths) > 12
    return [addressed(path, world) for path in paths]


def _is_list(operation: dict[str, Any] | None) -> bool:
    return any(each["name"] == "cursor" for each in (operation or {}).get("parameters", ()))
