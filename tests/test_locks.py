"""The lock files: everything pinned and hashed, and nothing in them of the machine that made them."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.run import ROOT

LOCKS = ("base", "dev", "uv")


def text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def pins(lock: str) -> dict[str, str]:
    """Package name to version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text(lock), re.MULTILINE))


def normal(requirement: str) -> str:
    """The name in `psycopg[binary]>=3.2` as lock files spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    blocks = re.split(r"^(?=[^\s#])", text(lock), flags=re.MULTILINE)[1:]
    assert blocks
    assert [block for block in blocks if "--hash=sha256:" not in block or "==" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_and_no_path_of_a_machine(lock: str) -> None:
    assert re.findall(r"://|index-url|find-links|/(?:root|home|tmp|work)/", text(lock)) == []


def test_the_locks_cover_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {normal(name) for name in project["dependencies"]} <= pins("base").keys()
    assert {normal(name) for name in project["optional-dependencies"]["dev"]} <= pins("dev").keys()


def test_tests_run_with_the_versions_that_are_shipped() -> None:
    dev = pins("dev")
    assert {name: version for name, version in pins("base").items() if dev.get(name) != version} == {}
