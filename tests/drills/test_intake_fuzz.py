"""`make drill`: an hour of bodies at every reader and at the door; none may break them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from zeal import zeal_ignore

from incidents.alerts import setup
from incidents.alerts.kinds import SourceKind
from incidents.alerts.sources.generic import PRESETS
from incidents.models import IntakeEvent, SourceAlert
from tests.factories import NOON
from tests.incidents.test_alert_sources import JSON, KINDS, NAMES, check, payload, places, replaced

#: How many bodies for each fixture.
MANY = int(os.environ.get("DRILL_BODIES", "3000"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=MANY, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_no_change_of_a_body_breaks_its_reader(name: str, data: st.DataObject) -> None:
    body, word = payload(name), name.partition("_")[0]
    for _ in range(data.draw(st.integers(1, 5))):
        body = replaced(body, data.draw(st.sampled_from(places(body))), data.draw(JSON))
    check(KINDS[word], body, PRESETS.get(word, {}))


class TheDoor(TestCase):
    """Every body is 202 or 400, and what was stored can be listed."""

    @settings(max_examples=MANY // 3, deadline=None, suppress_health_check=SLOW)
    @given(data=st.data())
    def test_no_body_breaks_the_door(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in NAMES if KINDS[name.partition("_")[0]] != "generic"]))
        kind, policy = KINDS[name.partition("_")[0]], data.draw(st.sampled_from(["open", "candidate", "attach"]))
        field_map = dict(PRESETS.get(name.partition("_")[0], {}))
        made = setup.create(
            slug="s", name="S", kind=kind, policy=policy, by=None, now=NOON, field_map=field_map, per_minute=2
        )
        for body in self._bodies(name, data):
            address = f"/api/v1/intake/s/?token={made.secret}"
            with zeal_ignore():  # a group is as many alerts, each on its own
                answer = Client().post(address, body, content_type="application/json")
            assert answer.status_code in (202, 400), (answer.status_code, body)
            assert "broke" not in answer.json().get("reason", ""), body
        assert list(IntakeEvent.objects.values())
        assert all(str(row) for row in SourceAlert.objects.all())
        assert kind in SourceKind.values

    def _bodies(self, name: str, data: st.DataObject) -> list[bytes]:
        body: Any = payload(name)
        changed = [replaced(body, data.draw(st.sampled_from(places(body))), data.draw(JSON)) for _ in range(3)]
        return [*(json.dumps(each).encode() for each in changed), data.draw(st.binary(max_size=40))]
