"""The long version of tests/test_api_schema.py and tests/test_api_hostile.py: all phases of schemathesis with all its
checks, and every hostile value in every field. Run by `make drill`; prints what was asked.
"""

from __future__ import annotations

import os

import pytest

from tests.cast import Knock
from tests.fuzzing import document, fuzz, operations_of
from tests.serving import serving
from tests.test_api_hostile import attack
from tests.world import build

EXAMPLES = int(os.environ.get("MAJOROPS_FUZZ_EXAMPLES", "30"))


@pytest.mark.django_db(transaction=True)
def test_every_operation_in_every_phase(client_as: Knock) -> None:
    world = build()
    admin = world.people["admin"]
    served = document(client_as(admin))
    phases = ("examples", "coverage", "fuzzing", "stateful")
    # It asks thousands of times: a refusal for that alone would say nothing.
    with serving(MAJOROPS_PERSON_WRITES_PER_MINUTE="1000000") as site:
        found = fuzz(site.url, served, admin.email, world.samples, examples=EXAMPLES, phases=phases)
    print(found.told())
    assert found.asked.keys() == operations_of(served)
    assert not found.failures, "\n\n".join(f"{name}\n{told}" for name, told in found.failures.items())


def test_every_hostile_value_in_every_field(db: None) -> None:
    asked, broken = attack(every=1)
    print(f"{asked} requests with a hostile value, {len(broken)} broke something")
    assert not broken, "\n".join(broken[:20])
