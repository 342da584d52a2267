"""The schema as a tester: schemathesis asks every operation what the schema allows and what it forbids.

Each phase and each check of schemathesis runs. What differs from its defaults, and why, stands in CONFIG.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import IgnoredAuth

IDENTITY = "Cf-Access-Authenticated-User-Email"
#: What a correct refusal of a request that has the right shape may be: a rule of the domain, or the state of the row.
RULES = [400, 401, 403, 404, 409, 410, 412, 413, 422, 428, 429]
CONFIG: dict[str, Any] = {
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", *RULES]},
        "missing_required_header": {"expected-statuses": [400, 401, 403, 404, 428]},
        "negative_data_rejection": {
            "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 411, 412, 413, 415, 422, 428]
        },
    },
    "warnings": False,
}


@dataclass(slots=True)
class Found:
    """What a run asked, and what was wrong with the answers."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return self.asked.total()

    def told(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.answered.items()))
        return f"{len(self.asked)} operations, {self.cases} cases ({statuses}), {len(self.failures)} failures"


def document(client: Any) -> dict[str, Any]:
    """The schema as it is served, with one way to sign in: that of the tester."""
    served: dict[str, Any] = client.get("/api/v1/schema?format=json", headers={"Accept": "*/*"}).json()
    for path in served["paths"].values():
        for operation in path.values():
            if "security" in operation:
                operation["security"] = [each for each in operation["security"] if "accessProxy" in each]
    return served


def operations_of(served: Mapping[str, Any]) -> set[str]:
    methods = ("get", "post", "put", "patch", "delete")
    return {
        f"{name.upper()} {path}" for path, methods_ in served["paths"].items() for name in methods_ if name in methods
    }


def fuzz(
    url: str,
    served: dict[str, Any],
    email: str,
    ids: Mapping[str, Sequence[str]],
    *,
    examples: int,
    phases: Sequence[str],
    seed: int | None = None,
) -> Found:
    """Ask every operation of the site at `url` in the name of `email`, mostly about rows that are there.

    `ids` are their ids, by path parameter.
    """
    told = _config(url, email, ids, examples, phases) | ({"seed": seed} if seed else {})
    config = SchemathesisConfig.from_dict(told)
    schema = schemathesis.openapi.from_dict(served, config=config)
    found = Found()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished() | events.FuzzScenarioFinished():
                _note(found, event.recorder)
            case events.NonFatalError():
                found.failures[f"{event.label}: {type(event.value).__name__}"] = str(event.value)
            case events.FatalError():
                raise event.exception
    return found


@schemathesis.serializer("application/x-ndjson")
def _lines(ctx: Any, value: Any) -> bytes:
    """What the schema calls a text of lines, as it is."""
    return value.encode(errors="surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


def _config(
    url: str, email: str, ids: Mapping[str, Sequence[str]], examples: int, phases: Sequence[str]
) -> dict[str, Any]:
    every = ("examples", "coverage", "fuzzing", "stateful")
    return CONFIG | {
        "base-url": url,
        "headers": {IDENTITY: email},
        "continue-on-failure": True,
        "dictionaries": {name: {"values": list(values)} for name, values in ids.items()},
        "parameters": {f"path.{name}": {"dictionary": name, "probability": 0.85} for name in ids},
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
        # Any text is lines: what is wrong with one is told in the report, and the others are stored.
        "operations": [
            {"include-path": "/api/v1/facts/bulk", "checks": {"negative_data_rejection": {"enabled": False}}}
        ],
        "phases": {name: {"enabled": name in phases} for name in every},
    }


def _note(found: Found, recorder: Any) -> None:
    for case_id, node in recorder.cases.items():
        case = node.value
        label = f"{case.operation.method.upper()} {case.operation.path}"
        answer = recorder.interactions.get(case_id)
        if answer is None or answer.response is None:
            continue
        found.asked[label] += 1
        found.answered[answer.response.status_code] += 1
        for check in recorder.checks.get(case_id, ()):
            if check.failure_info is not None:
                failure = check.failure_info.failure
                if isinstance(failure, IgnoredAuth) and "400 Bad Request" in failure.message:
                    continue  # what is no address at all is a malformed identity, and documented so
                said = f"{answer.response.status_code} {answer.response.text[:500]}"
                told = f"{failure.message}\n{check.failure_info.code_sample}\n{said}"
                found.failures.setdefault(f"{label}: {failure.title}", told)
