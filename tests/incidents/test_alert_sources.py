"""What each sender's body says, and that no body whatever breaks a reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.alerts.alert import KEY_LENGTH, LINK_LENGTH, TITLE_LENGTH, Malformed, Reading, severity_of
from incidents.alerts.kinds import SourceKind, State
from incidents.alerts.registry import read_payload
from incidents.alerts.sources.generic import PRESETS, wrong_map
from majorops.lib import safe_json
from majorops.lib.times import EARLIEST, LATEST
from tests.factories import at

FIXTURES = Path(__file__).parent / "fixtures" / "alerts"
#: The kind of source for each fixture, by how its name begins.
KINDS = {
    "pagerduty": "pagerduty", "events": "events_v2", "opsgenie": "opsgenie", "alertmanager": "alertmanager",
    "grafana": "grafana", "datadog": "datadog", "statuspage": "statuspage", "newrelic": "newrelic",
    "generic": "generic", "unknown": "generic", "github": "generic", "uptimerobot": "mapped", "freshstatus": "mapped",
    "alerta": "mapped",
}  # fmt: skip


def payload(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def read(name: str, **changed: Any) -> Reading:
    word = name.partition("_")[0]
    return read_payload(KINDS[word], payload(name) | changed, PRESETS.get(word, {}))


NAMES = sorted(file.stem for file in FIXTURES.glob("*.json"))
F, A, R = State.FIRING, State.ACKNOWLEDGED, State.RESOLVED

#: Fixture: (key, title, state, severity in the source's word, issue time, resolve time).
TOLD = {
    "pagerduty_v3_triggered": ("Q1ORDERS01", "Orders database refuses writes", F, "P1", "11:58:30", None),
    "pagerduty_v3_acknowledged": ("Q1ORDERS01", "Orders database refuses writes", A, "P1", "11:58:30", None),
    "pagerduty_v3_resolved": ("Q1ORDERS01", "Orders database refuses writes", R, "high", "11:58:30", "12:20:10.500"),
    "pagerduty_v2_trigger": ("Q1ORDERS01", "Orders database refuses writes", F, "low", "11:58:30", None),
    "events_v2_trigger": ("disk-orders-1", "Disk of orders-1 is full", F, "critical", "11:57:00", None),
    "events_v2_resolve": ("disk-orders-1", "disk-orders-1", R, "", None, None),
    "opsgenie_create": ("cpu-web-7", "CPU of web-7 is at 100 %", F, "P2", "11:58:00", None),
    "opsgenie_close": ("cpu-web-7", "CPU of web-7 is at 100 %", R, "P2", "11:58:00", "12:20:00"),
    "alertmanager_firing": ("c0ffee0000000001", "One in five checkouts fails", F, "critical", "11:55:00.123", None),
    "alertmanager_resolved": (
        "c0ffee0000000001", "One in five checkouts fails", R, "critical", "11:55:00.123", "12:30:00.500",
    ),
    "grafana_unified": ("c0ffee0000000001", "One in five checkouts fails", F, "critical", "11:55:00.123", None),
    "grafana_legacy_alerting": ("rule:1:17", "Checkout is slow", F, "", None, None),
    "grafana_legacy_ok": ("rule:1:17", "Checkout is slow", R, "", None, None),
    "grafana_legacy_test": ("rule:0:0", "Test rule", R, "", None, None),
    "datadog_triggered": ("1122334455", "[Triggered] Queue of payments grows", F, "P1", "11:59:00", None),
    "datadog_recovered": ("1122334455", "[Recovered] Queue of payments grows", R, "P1", None, "12:19:00"),
    "statuspage_investigating": ("sp9z8y", "Card payments are delayed", F, "high", "11:59:00", None),
    "statuspage_resolved": ("sp9z8y", "Card payments are delayed", R, "high", "11:59:00", "12:39:30"),
    "newrelic_activated": ("https://one.newrelic.example/issues/77", "Login fails", F, "HIGH", "12:00:00", None),
    "newrelic_closed": ("https://one.newrelic.example/issues/77", "Login fails", R, "HIGH", "12:00:00", "12:30:00"),
    "newrelic_legacy": ("551", "Login fails", F, "CRITICAL", "12:00:00.123", None),
    "generic_firing": ("search-down", "Search answers nothing", F, "high", "11:50:00", None),
    "generic_resolved": ("search-down", "Search answers nothing", R, "", None, "12:30:00"),
    "uptimerobot_down": ("https://shop.example", "Shop", F, "", None, None),
    "uptimerobot_up": ("https://shop.example", "Shop", R, "", None, None),
    "freshstatus_open": ("900", "Slow mail", F, "", "11:30:00", None),
    "alerta_open": ("al-1", "web-4 does not answer", F, "major", "11:20:00", None),
}  # fmt: skip
IGNORED = {
    "pagerduty_v3_note": "incident.annotated says nothing",
    "opsgenie_note": "AddNote does not change",
    "grafana_legacy_paused": "paused neither fires",
    "datadog_muted": "Muted does not change",
    "statuspage_component": "component",
    "unknown_ticket": "Nothing of an alert",
    "github_pull_request": "Nothing of an alert",
    "github_workflow_run": "Nothing of an alert",
}


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_body_is_read(name: str) -> None:
    key, title, state, severity, issued, resolved = TOLD[name]
    (alert,) = read(name).alerts
    assert (alert.dedup_key, alert.title, alert.state, alert.severity_said) == (key, title, state, severity)
    assert alert.issue_time == (at(issued) if issued else None)
    assert alert.resolve_time == (at(resolved) if resolved else None)


@pytest.mark.parametrize("name", sorted(IGNORED))
def test_what_says_nothing_of_an_alert_is_ignored_with_the_reason(name: str) -> None:
    reading = read(name)
    assert not reading.alerts
    assert IGNORED[name] in reading.ignored


def test_every_fixture_is_looked_at() -> None:
    assert set(NAMES) == {*TOLD, *IGNORED, "alertmanager_mixed"}


def test_a_group_tells_of_each_of_its_alerts_and_of_those_it_left_out() -> None:
    reading = read("alertmanager_mixed")
    assert [alert.state for alert in reading.alerts] == [F, R, F]
    assert len({alert.dedup_key for alert in reading.alerts}) == 3
    assert reading.truncated == 12


@pytest.mark.parametrize("kind", SourceKind.values)
def test_an_empty_list_says_nothing(kind: str) -> None:
    assert read_payload(kind, [], {}).ignored == "The list is empty."


def test_a_list_of_bodies_is_read_one_by_one() -> None:
    down, note, up = (payload(name) for name in ("opsgenie_create", "opsgenie_note", "opsgenie_close"))
    assert [alert.state for alert in read_payload("opsgenie", [down, note, up], {}).alerts] == [F, R]
    assert "does not change" in read_payload("opsgenie", [note, note], {}).ignored


def test_an_alert_that_was_deleted_is_over() -> None:
    (alert,) = read_payload("opsgenie", payload("opsgenie_close") | {"action": "Delete"}, {}).alerts
    assert alert.state == R


def test_ids_of_deliveries() -> None:
    assert read("pagerduty_v3_triggered").event_id == "01EVENTINCIDENTTRIG"
    assert read("datadog_triggered").event_id == "7700000000000000001"
    assert len(read("pagerduty_v2_trigger").event_id) == 32
    assert read("alertmanager_firing").event_id == ""


def test_what_else_is_told() -> None:
    (alert,) = read("generic_firing").alerts
    assert (alert.customer_count, alert.affected_systems) == (1200, ("Search",))
    assert alert.bridge_url == "https://meet.example.com/search"
    (orders,) = read("pagerduty_v3_triggered").alerts
    assert (orders.affected_systems, orders.bridge_url) == (("Orders",), "https://meet.example.com/orders")
    (queue,) = read("datadog_triggered").alerts
    assert queue.affected_systems == ("payments",)


def test_a_trigger_without_a_key_gets_the_same_key_again() -> None:
    body = {"event_action": "trigger", "payload": {"summary": "x", "source": "y", "severity": "info"}}
    keys = {read_payload("events_v2", body | {"routing_key": key}, {}).alerts[0].dedup_key for key in ("a", "b")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (1772452800, "12:00:00"), ("1772452800", "12:00:00"), (1772452800123, "12:00:00.123"),
        (1772452800123456789, "12:00:00.123"), (1772452800.5, "12:00:00.500"), ("2026-03-02 12:00:00 UTC", "12:00:00"),
        ("2026-03-02T13:00:00+01:00", "12:00:00"), ("2026-03-02T12:00:00", "12:00:00"), (None, None), ("", None),
        ("None", None), (0, None), ("0001-01-01T00:00:00Z", None), ("0001-01-01T00:00:00+14:00", None),
    ],
)  # fmt: skip
def test_times_are_told_apart_by_their_size(said: object, meant: str | None) -> None:
    (alert,) = read("generic_firing", issue_time=said).alerts
    assert alert.issue_time == (at(meant) if meant else None)


@pytest.mark.parametrize(
    ("kind", "body", "pointer"),
    [
        ("generic", {"title": "x"}, "/dedup_key"),
        ("generic", {"dedup_key": "x"}, "/title"),
        ("generic", {"dedup_key": "x", "title": {}}, "/title"),
        ("generic", {"dedup_key": "x", "title": "y", "state": "on"}, "/state"),
        ("generic", {"dedup_key": "x", "title": "y", "issue_time": "soon"}, "/issue_time"),
        ("generic", {"dedup_key": "x", "title": "y", "issue_time": "1970-01-01T00:00:00Z"}, "/issue_time"),
        ("generic", {"dedup_key": "x", "title": "y", "issue_time": 10**18 * 9}, "/issue_time"),
        ("generic", {"dedup_key": "x", "title": "y", "customer_count": -1}, "/customer_count"),
        ("generic", {"dedup_key": "x", "title": "y", "customer_count": 2**31}, "/customer_count"),
        ("generic", 7, ""),
        ("generic", [{"dedup_key": "x", "title": "y"}, {"dedup_key": "x"}], "/1/title"),
        ("generic", [7], "/0"),
        ("alertmanager", {"alerts": {}}, "/alerts"),
        ("alertmanager", {"alerts": [{"status": "firing", "startsAt": "?"}]}, "/alerts/0/startsAt"),
        ("alertmanager", {"alerts": [{"status": "firing", "labels": {}}]}, "/alerts/0/labels/alertname"),
        ("pagerduty", {"event": {"event_type": "incident.triggered"}}, "/event/data"),
        ("pagerduty", {"event": {"event_type": "incident.triggered", "data": {"title": "x"}}}, "/event/data/id"),
        ("pagerduty", {"messages": [{"event": "incident.trigger"}]}, "/messages/0/incident"),
        ("events_v2", {"event_action": "explode"}, "/event_action"),
        ("events_v2", {"event_action": "resolve"}, "/dedup_key"),
        ("opsgenie", {"action": "Create", "alert": {"message": "x"}}, "/alert/alias"),
        ("statuspage", {"incident": {"status": "resolved", "name": "x"}}, "/incident/id"),
        ("grafana", {"ruleId": 1, "ruleName": "x"}, "/state"),
        ("datadog", {"monitor_id": "1"}, "/title"),
        ("newrelic", {"state": "open", "title": "x"}, "/issueUrl"),
    ],
)  # fmt: skip
def test_malformed_names_the_field_in_the_senders_words(kind: str, body: Any, pointer: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_payload(kind, body, {})
    assert refused.value.pointer == pointer


def test_a_field_map_refuses_at_the_place_it_names() -> None:
    with pytest.raises(Malformed) as refused:
        read_payload("mapped", {"a": {"id": 7}}, {"dedup_key": "/a/id", "title": "/a/name"})
    assert refused.value.pointer == "/a/name"


def test_a_word_that_the_field_map_does_not_know_is_ignored() -> None:
    reading = read("uptimerobot_down", alert_type="3")
    assert "'3'" in reading.ignored


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_shipped_field_maps_are_right(name: str) -> None:
    assert wrong_map(PRESETS[name]) == ""


@pytest.mark.parametrize(
    ("field_map", "said"),
    [
        ([], "object"), ({"dedup_key": "/id"}, "title"), ({"dedup_key": "id", "title": "/t"}, "dedup_key"),
        ({"dedup_key": "/i", "title": "/t", "colour": "/c"}, "colour"),
        ({"dedup_key": "/i", "title": "/t", "states": {"Down": "broken"}}, "states"),
        ({"dedup_key": "/i", "title": []}, "title"),
    ],
)  # fmt: skip
def test_a_wrong_field_map_says_what_is_wrong(field_map: object, said: str) -> None:
    assert said in wrong_map(field_map)


def test_a_sources_own_words_go_before_custom() -> None:
    assert severity_of("SEV-0", {"sev-0": "critical"}) == "critical"
    assert severity_of("info", {"Info": "high"}) == "high"
    assert severity_of("P2", {}) == "high"
    assert severity_of("banana", {}) is None


# --- Whatever comes ---

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(
        ["firing", "resolved", "incident.triggered", "P1", "0001-01-01T00:00:00Z", "alerting", "trigger"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for name, item in pairs for deeper in places(item, (*path, name)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def check(kind: str, body: Any, field_map: Any) -> None:
    """It is read or refused; what is read fits the columns it goes to."""
    try:
        reading = read_payload(kind, body, field_map)
    except Malformed as refused:
        assert refused.message  # noqa: PT017
        assert refused.pointer == "" or refused.pointer.startswith("/")  # noqa: PT017
        return
    assert reading.alerts or reading.ignored
    assert len(reading.event_id) <= KEY_LENGTH
    for alert in reading.alerts:
        assert 0 < len(alert.dedup_key) <= KEY_LENGTH
        assert 0 < len(alert.title) <= TITLE_LENGTH
        assert max(len(alert.link), len(alert.bridge_url)) <= LINK_LENGTH
        assert "\0" not in alert.title + alert.dedup_key + alert.description + alert.alert_id + alert.severity_said
        times = (alert.occurred_at, alert.issue_time, alert.resolve_time)
        assert all(EARLIEST <= moment < LATEST for moment in times if moment)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_no_change_of_a_real_body_breaks_its_reader(name: str, data: st.DataObject) -> None:
    """One or two places of each fixture hold something else."""
    body, word = payload(name), name.partition("_")[0]
    for _ in range(data.draw(st.integers(1, 2))):
        body = replaced(body, data.draw(st.sampled_from(places(body))), data.draw(JSON))
    check(KINDS[word], body, PRESETS.get(word, {}))


@pytest.mark.parametrize("kind", SourceKind.values)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(body=JSON, field_map=JSON)
def test_no_body_at_all_breaks_a_reader(kind: str, body: Any, field_map: Any) -> None:
    check(kind, body, field_map if isinstance(field_map, dict) else {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\xff", "UTF-8"), (b"{", "not JSON"), (b"", "not JSON"), (b'{"a": NaN}', "finite"),
        (b'{"a": 1e999}', "finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "finite"), (b'{"a": "\\u0000"}', "NUL"), (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": 1, "a": 2}', "twice"), (b"[" * 40 + b"]" * 40, "deeply"), (b"[" * 100_000, "deeply"),
        (json.dumps({str(n): n for n in range(1001)}).encode(), "1001 keys"),
    ],
)  # fmt: skip
def test_json_is_read_within_limits(body: bytes, said: str) -> None:
    with pytest.raises(safe_json.NotJson) as refused:
        safe_json.parse(body)
    assert said in refused.value.message


def test_json_within_the_limits_is_read() -> None:
    assert safe_json.parse('{"a": [1, 2.5, "é", null, true]}'.encode()) == {"a": [1, 2.5, "é", None, True]}
    assert datetime.fromtimestamp(0, UTC) < EARLIEST
