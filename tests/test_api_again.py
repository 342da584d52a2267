"""Every POST of the API that did something is answered again under its key, and not carried out again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from accounts.idempotency import REPLAYED
from tests.test_api_hostile import JSON, addressed, sample, schema_of_the_api
from tests.world import build

#: What writes nothing, so that there is nothing to keep.
WRITES_NOTHING = {"/api/v1/kpis/{slug}/preview"}


@pytest.mark.django_db
@override_settings(MAJOROPS_PERSON_WRITES_PER_MINUTE=10**6)
def test_every_post_is_done_once() -> None:
    world, schema = build(figures=False), schema_of_the_api()
    client = world.client("admin")
    done, twice = [], []
    for path, methods in schema["paths"].items():
        if "post" not in methods or path in WRITES_NOTHING:
            continue
        body, address = plausible(schema, methods["post"]), addressed(path, world)
        headers = {"Idempotency-Key": path.replace("/", "-")}
        first, second = (client.post(address, body, JSON, headers=headers) for _ in range(2))
        if first.status_code < 300:
            done.append(path)
            if REPLAYED not in second or second.content != first.content:
                twice.append((path, first.status_code, second.status_code))
    assert len(done) > 10, done
    assert twice == []


def plausible(schema: dict[str, Any], operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return json.dumps(sample(schema, content[JSON]["schema"], None)) if JSON in content else ""
