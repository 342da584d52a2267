"""How facts come in: what is taken, what is refused and why, and that the quick way and the slow one are one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kpis.facts import ingest, kinds, parked, registry, subjects, table
from kpis.facts.admission import admitted
from kpis.facts.ingest import Report
from kpis.models import Fact, FactKindVersion, OnFirstSight, ParkedFact, Subject
from majorops.lib.errors import Invalid
from tests.factories import NOON, at
from tests.kpis.facts import FIELDS, define, event, ndjson, send
from tests.races import race

pytestmark = pytest.mark.django_db
LATER = at("2026-06-01T00:00")
HEALTH = {"service": "api", "ok": True}


# --- Counting ---


def test_each_event_has_one_fate_and_a_body_sent_again_changes_nothing() -> None:
    define("health_check")
    good = event("health_check", "10:00", **HEALTH)
    body = [good, good, {**good, "kind": "nope"}, event("health_check", "10:01", service="api", ok="true")]
    told = send(*body)
    assert (told.received, told.inserted, told.duplicate, told.rejected) == (4, 1, 1, 2)
    assert [(error.line, error.code) for error in told.errors] == [(3, "unknown_kind"), (4, "invalid_fact")]
    again = send(*body)
    assert (again.inserted, again.duplicate, again.rejected) == (0, 2, 2)
    assert Fact.objects.count() == 1


def test_a_new_event_among_old_ones_is_stored() -> None:
    define("health_check")
    old = [{**event("health_check", "10:00", **HEALTH), "key": key} for key in ("b", "c", "d")]
    send(*old)
    new = [{**event("health_check", "10:00", **HEALTH), "key": key} for key in ("a", "bb", "e")]
    told = send(*old, *new)
    assert (told.inserted, told.duplicate) == (3, 3)


def test_two_senders_may_use_one_key() -> None:
    define("health_check")
    one = {**event("health_check", "10:00", **HEALTH), "key": "1"}
    assert [send(one, source=source).inserted for source in ("a", "b", "a")] == [1, 1, 0]


def test_blank_lines_count_as_lines_and_not_as_events() -> None:
    told = ingest.append_lines(b'\n\r\n{"kind": 5}\n', source="test", now=NOON)
    assert (told.received, told.errors[0].line) == (1, 3)


def test_what_is_stored_is_what_was_sent_in_one_form() -> None:
    define("chatwoot.escalations")
    sent = event("chatwoot.escalations", "10:01", conversation_id="c\t1\\", breached_at="2026-03-02T11:00:00+01:00")
    send({**sent, "actor": "Ann@Example.com", "confidence": 0.5, "requestId": "r1", "key": "ein \\N Schlüssel"})
    fact = Fact.objects.get()
    assert fact.payload == {"conversation_id": "c\t1\\", "breached_at": "2026-03-02T10:00:00.000Z"}
    assert (fact.subject_type, fact.subject_id, fact.confidence) == ("conversation", "c\t1\\", 0.5)
    assert (fact.dedupe_key, fact.request_id, fact.occurred_at) == ("ein \\N Schlüssel", "r1", at("10:01"))
    assert fact.actor.startswith("person-")
    assert "nn" not in fact.actor


def test_a_person_has_one_alias_everywhere() -> None:
    define("dashboard.session.opened")
    for minute, spelled in enumerate(["ann@example.com", "ANN@example.com", "bob"]):
        send(
            {**event("dashboard.session.opened", f"10:0{minute}", shop_domain="a", operator=spelled), "actor": spelled}
        )
    aliases = [(fact.actor, fact.payload["operator"]) for fact in Fact.objects.order_by("occurred_at")]
    assert aliases[0] == aliases[1]
    assert aliases[0][0] == aliases[0][1]
    assert aliases[2] == ("bob", "bob")


# --- What is refused ---

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("payload.ok must be true or false", {"payload": {"service": "a", "ok": 1}}),
    ("payload.ok is missing", {"payload": {"service": "a"}}),
    ("payload.ok is missing", {"payload": {"service": "a", "ok": None}}),
    ("no field of this kind", {"payload": {**HEALTH, "okay": True}}),
    ("payload is a JSON object", {"payload": [1]}),
    ("subject or payload.service is missing", {"payload": {"ok": True}}),
    ("occurredAt", {"occurredAt": "yesterday"}),
    ("time zone", {"occurredAt": "2026-03-02T10:00:00"}),
    ("in the future", {"occurredAt": "2026-06-01T00:06:00Z"}),
    ("between the years", {"occurredAt": "1999-03-02T10:00:00Z"}),
    ("'occuredAt' is not known here", {"occuredAt": "2026-03-02T10:00:00Z"}),
    ("confidence", {"confidence": 1.5}),
    ("confidence", {"confidence": True}),
    ("is at version 1", {"version": 2}),
    ("no fact 01ARZ3NDEKTSV4RRFFQ69G5FAV", {"supersedes": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
    ("no e-mail address", {"subject": "ann@example.com"}),
    ("without @", {"actor": "Ann <ann@example.com>"}),
    ("no fact kind", {"kind": "health.check"}),
]


@pytest.mark.parametrize(("why", "change"), REFUSED)
def test_a_refusal_says_what_is_wrong(why: str, change: dict[str, Any]) -> None:
    define("health_check")
    told = send({**event("health_check", "10:00", **HEALTH), **change})
    assert (told.inserted, told.rejected) == (0, 1)
    assert why in told.errors[0].reason


def test_a_retired_kind_and_a_draft_take_nothing() -> None:
    for status in ("draft", "retired"):
        define("health_check", status=status)
        assert send(event("health_check", "10:00", **HEALTH)).errors[0].code == "kind_not_in_use"


# --- Kinds ---


def test_defining_what_stands_changes_nothing_and_a_change_is_a_version() -> None:
    assert [define("health_check").version for _ in range(2)] == [1, 1]
    assert define("health_check", owner="SRE").version == 2
    owners = (
        FactKindVersion.objects.filter(kind="health_check").order_by("id").values_list("snapshot__owner", flat=True)
    )
    assert list(owners) == ["Test", "SRE"]


def test_a_field_keeps_its_type_for_good() -> None:
    define("health_check")
    define("health_check", fields={"service": {"type": "string"}})
    with pytest.raises(Invalid, match="ok held bool"):
        define("health_check", fields={"service": {"type": "string"}, "ok": {"type": "string"}})


@pytest.mark.parametrize("fields", [
    {"user__password": {"type": "string"}}, {"id": {"type": "string"}}, {"a": {"type": "text"}},
    {"a": {"type": "enum"}}, {"a": {"type": "duration"}}, {"a": {"type": "int", "max": 3}}, {"a": "int"}, ["a"],
])  # fmt: skip
def test_a_schema_that_cannot_be_meant_is_refused(fields: Any) -> None:
    with pytest.raises(Invalid):
        define("health_check", fields=fields)


# --- Subjects ---


def test_a_service_is_registered_on_first_sight_and_a_credential_is_not() -> None:
    define("health_check", "key_rotated")
    send(event("health_check", "10:00", **HEALTH))
    assert Subject.objects.filter(type="service", key="api").exists()
    told = send({**event("key_rotated", "10:00"), "subject": "deploy-key"})
    assert told.errors[0].code == "unknown_subject"
    subjects.register("credential", "deploy-key", attributes={"policy_days": 90}, now=NOON)
    assert send({**event("key_rotated", "10:00"), "subject": "deploy-key"}).inserted == 1


def test_an_attribute_has_one_type_in_all_sorts() -> None:
    with pytest.raises(Invalid, match="tier holds string"):
        subjects.declare(
            "device", description="x", attributes={"tier": {"type": "int"}}, on_first_sight=OnFirstSight.CREATE
        )


# --- Parked ---


def test_an_unknown_kind_waits_if_that_is_wanted_and_is_released(settings: Any) -> None:
    settings.MAJOROPS_UNKNOWN_FACTS = "park"
    good, bad = event("health_check", "10:00", **HEALTH), event("health_check", "10:00", service="api")
    assert [(told.parked, told.duplicate) for told in (send(good, bad), send(good, bad))] == [(2, 0), (0, 2)]
    assert not Fact.objects.exists()
    assert parked.release(now=LATER).released == 0
    define("health_check")
    told = parked.release(now=LATER)
    assert (told.released, told.refused) == (1, 1)
    assert Fact.objects.get().payload == HEALTH
    assert "ok is missing" in ParkedFact.objects.get(outcome="refused").why
    assert parked.release(now=LATER).released == 0


# --- Both ways are one ---

STRANGE = [
    b"", b"null", b"[]", b'"x"', b"5", b"{}", b"{", b'{"kind"}', b"\xff", b'{"kind":"k","kind":"k"}', b"[" * 5000,
    b'{"kind":' * 400 + b"1" + b"}" * 400, b"\xef\xbb\xbf{}", b'{"kind":["k"]}', b'{"kind":"k","payload":5}',
    b'{"kind":"k","payload":"abc"}', b'{"kind":"k","payload":{"t":"a"},"payload":{}}', b'{"kind":"\\ud800"}',
]  # fmt: skip
PAYLOADS = [
    b'"t":"a"', b'"t":"\\u0000"', b'"t":"\\ud800"', b'"t":"\\ud83d\\ude00"', b'"t":"\\udc00\\ud800"',
    b'"t":"a","t":"b"',
    b'"t":"a","\\u0074":"b"', b'"t" :"a","t":"b"', b'"t":"\\":","t":"b"', b'"t":"\xed\xa0\x80"', b'"t":"x\ty"',
    b'"i":5', b'"i":"5"', b'"i":5.0', b'"i":true', b'"i":null', b'"i":-0', b'"i":1e2', b'"i":9007199254740992',
    b'"i":9007199254740993', b'"i":123456789012345678901234567890', b'"i":' + b"9" * 5000, b'"i":01', b'"i":NaN',
    b'"n":5', b'"n":-0.0', b'"n":1e400', b'"n":-Infinity', b'"n":0.1', b'"n":9007199254740993',
    b'"n":9007199254740993.0',
    b'"n":false', b'"n":"0.5"', b'"n":1e-400', b'"n":5e-324', b'"b":true', b'"b":1', b'"b":"true"', b'"e":"x"',
    b'"e":"z"', b'"e":""', b'"e":null', b'"d":3', b'"d":-1', b'"d":-0.0', b'"d":2.5', b'"d":"PT5M"', b'"l":[1,"a"]',
    b'"l":[[1]]', b'"l":[]', b'"l":[null]', b'"p":"ann@example.com"', b'"t":"ann@example.com"', b'"t":"@"',
    b'"p":"bob"',
    b'"a":"2026-03-02T10:00:00Z"', b'"a":"2026-03-02T24:00:00Z"', b'"a":"2026-03-02T10:00:00.123456Z"',
    b'"a":"2026-03-02 10:00:00Z"', b'"a":"2026-03-02T10:00:00"', b'"a":"2026-W10-1T10:00:00Z"', b'"a":1772445600000',
    b'"a":"0001-01-01T00:00:00+14:00"', b'"a":"2100-01-01T00:00:00.000Z"', b'"a":"2026-02-30T10:00:00Z"', b'"a":true',
    b'"a":"2026-03-02\\t10:00:00Z"', b'"unknown":1', b'"t":"' + b"x" * 1001 + b'"', b'"t":"' + b"x" * 70000 + b'"', b"",
]  # fmt: skip
ENVELOPES = [
    b"", b',"key":"k1"', b',"key":""', b',"key":5', b',"key":"\\\\.\\t"', b',"subject":"s"', b',"subject":""',
    b',"actor":"ann"', b',"actor":"ann@example.com"', b',"actor":"a@b"', b',"confidence":1', b',"confidence":0.5',
    b',"confidence":-0.1', b',"confidence":null', b',"confidence":true', b',"version":1', b',"version":1.0',
    b',"version":true', b',"version":2', b',"supersedes":"x"', b',"supersedes":null', b',"stranger":1',
    b',"requestId":"r\\\\n"', b',"requestId":"' + b"r" * 81 + b'"', b',"occurredAt":"2026-03-02T10:00:00Z"', b"\r",
    b" ",
]  # fmt: skip
TIMES = [
    b'"2026-03-02T10:00:00Z"', b'"2026-03-02T10:00:00.123Z"', b'"2026-03-02T11:00:00+01:00"', b"1772445600000",
    b"1e400",
    b'"2026-06-01T00:04:59Z"', b'"2026-06-01T00:05:01Z"', b'"2099-01-01T00:00:00Z"', b'"nonsense"', b"null",
    b'"\\u0000"',
    b'" 2026-03-02T10:00:00Z"', b'"2026-03-02T10:00:00,123Z"', b"false",
]  # fmt: skip
ANYTHING = {
    "t": {"type": "string"}, "i": {"type": "int"}, "n": {"type": "number"}, "b": {"type": "bool"},
    "e": {"type": "enum", "enum": ["x", "y"]}, "d": {"type": "duration", "unit": "ms"}, "l": {"type": "list"},
    "p": {"type": "person"}, "a": {"type": "time"}, "with.dot": {"type": "string"},
}  # fmt: skip


def line(payloads: list[bytes], envelope: bytes = b"", when: bytes = TIMES[0]) -> bytes:
    return b'{"kind":"k","occurredAt":' + when + b',"payload":{' + b",".join(payloads) + b"}" + envelope + b"}"


def define_anything() -> None:
    columns: Any = {"key": "k", "description": "x", "fields": ANYTHING, "owner": "x"}
    kinds.define(kinds.Kind(**columns), by=None, reason="Test", now=NOON)


def outcome(way: Any, body: bytes) -> tuple[Report, list[tuple[Any, ...]]]:
    """The answer of one way, and what it stored; nothing of it stays."""
    names = ("kind", "kind_version", "occurred_at", "received_at", "subject_type", "subject_id", "payload", "actor",
             "request_id", "source", "confidence", "dedupe_key", "supersedes")  # fmt: skip
    with transaction.atomic():
        told = way(body, source="test", now=LATER)
        stored = sorted(Fact.objects.values_list(*names), key=repr)
        transaction.set_rollback(True)
    return told, [tuple(map(_exact, row)) for row in stored]


def _exact(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def test_both_ways_answer_alike_about_everything_strange() -> None:
    define_anything()
    lines = [*STRANGE, *(line([each]) for each in PAYLOADS), *(line([b'"t":"a"'], each) for each in ENVELOPES)]
    body = b"\n".join([*lines, *(line([b'"t":"a"'], b"", each) for each in TIMES)])
    quick, slow = outcome(ingest.append_lines, body), outcome(ingest.append_lines_slowly, body)
    assert quick == slow
    assert quick[0].inserted > 20
    assert quick[0].rejected > 50


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.sampled_from(STRANGE),
            st.builds(
                line,
                st.lists(st.sampled_from(PAYLOADS), max_size=3),
                st.sampled_from(ENVELOPES),
                st.sampled_from(TIMES),
            ),
            st.builds(
                lambda value, name: line(
                    [json.dumps({name: value}, ensure_ascii=False).encode("utf-8", "replace")[1:-1]]
                ),
                st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()),
                st.sampled_from([*ANYTHING]),
            ),
        ),
        max_size=8,
    )
)
@example([line([b'"t":"a"']), line([b'"t":"a"'])])
@example([line([b'"t":"a"'])[:30], line([b'"t":"a"'])[30:], line([b'"t":"b"']) + line([b'"t":"c"'])])
@example([line([b'"t":"a"']) + b"," + line([b'"t":"b"'])])
@example([line([b'"i":1', b'"i":2', rb'"t":"\u0022:"'])])
@example([line([b'"i":1', b'"i":2', rb'"t":"\"\u003A"'])])
@example([line([rb'"t":"\":"'], rb',"requestId":"\":"')])
def test_both_ways_accept_and_refuse_the_same(lines: list[bytes]) -> None:
    define_anything()
    body = b"\n".join(lines)
    assert outcome(ingest.append_lines, body) == outcome(ingest.append_lines_slowly, body)


def test_plain_lines_take_the_quick_way() -> None:
    define("health_check")
    known = registry.fresh()
    plain = ndjson([event("health_check", "10:00", **HEALTH)]).replace(b"+00:00", b"Z")
    assert admitted([plain, plain], known.lanes, LATER) is not None


def test_one_event_is_told_as_the_fact_that_it_became() -> None:
    define(*FIELDS)
    first, is_new = ingest.append(event("health_check", "10:00", **HEALTH), source="test", now=LATER)
    second, is_new_again = ingest.append(event("health_check", "10:00", **HEALTH), source="test", now=LATER)
    assert (is_new, is_new_again, first.pk) == (True, False, second.pk)


@pytest.mark.django_db(transaction=True)
def test_senders_of_the_same_keys_in_another_order_never_lock_each_other_out() -> None:
    """A client that was not sure sends its events again, in whatever order it has them."""
    define("health_check")
    for turn in range(4):
        events = [{**event("health_check", "10:00", **HEALTH), "key": f"{turn}-{number:05d}"} for number in range(2000)]
        known = registry.fresh()
        facts: Any = ingest._quickly(ndjson(events).split(b"\n"), known.lanes, ingest._terms(known, LATER))
        stored: list[int] = []

        def append(number: int, facts: Any = facts, stored: list[int] = stored) -> None:
            with transaction.atomic():
                stored.append(table.append(facts[:: 1 - number % 2 * 2], "test", LATER))

        assert race(append, threads=4) == {"won": 4}
        assert sum(stored) == 2000
