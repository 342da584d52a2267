"""Every operation of the API answers as its schema says, whatever it is asked.

tests/drills/test_api_fuzz.py asks more, in all phases of schemathesis.
"""

from __future__ import annotations

import pytest

from tests.cast import Knock
from tests.fuzzing import document, fuzz, operations_of
from tests.serving import serving
from tests.world import build


@pytest.mark.django_db(transaction=True)
def test_every_operation_answers_as_its_schema_says(client_as: Knock) -> None:
    world = build()
    admin = world.people["admin"]
    served = document(client_as(admin))
    with serving(MAJOROPS_PERSON_WRITES_PER_MINUTE="1000000") as site:
        found = fuzz(site.url, served, admin.email, world.samples, examples=2, phases=("fuzzing",), seed=1)
    assert found.asked.keys() == operations_of(served)
    assert not found.failures, "\n\n".join(f"{name}\n{told}" for name, told in found.failures.items())
