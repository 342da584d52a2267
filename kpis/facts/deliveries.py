"""What went to production, from a list of merges: which were taken back is read from what later ones say of themselves.

A merge takes another back if its branch is called `revert-N-...`, for the change number N, or its title is `Revert
"..."` around the title of an earlier one. Nothing else is guessed: a merge that says `reverting` and not what, takes
nothing back, and is named as a record that could not be read that far.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpis.facts.files import Event, FileNotRead
from kpis.formulas.language import PERIOD_PATTERN, period
from kpis.models import Fact
from majorops.lib.errors import Invalid

_BRANCH = re.compile(r"/revert-(\d+)-")
_TITLE = re.compile(r'Revert "(.+)"')
_NUMBER = re.compile(r" \(#\d+\)$")


class Deliveries(BaseModel):
    """How one list of merges is to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    #: What being in the list means, as whoever writes the mapping declares.
    environment: str = "production"
    id: str
    at: str
    title: str
    #: The column of the change number, if there is one.
    change: str = ""
    #: What is taken back later than this was no failure: it had served.
    taken_back_within: Annotated[str, Field(pattern=rf"^({PERIOD_PATTERN})$")] = "P7D"


@dataclass(frozen=True, slots=True)
class Known:
    """What facts already say."""

    #: Change numbers that, by the report of an incident, broke something.
    causes: frozenset[str] = frozenset()
    #: Deployment -> (fact, outcome) as it was told before.
    outcomes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merge:
    number: int
    id: str
    at: datetime
    title: str
    change: str


@dataclass(slots=True)
class Read:
    """The merges of a list, the oldest first, and what was taken back."""

    merges: list[Merge]
    #: Merge id -> the merge that took it back in time.
    taken_back: dict[str, Merge] = field(default_factory=dict)
    #: Says that it takes something back; what, or which of several, nobody can tell.
    unclear: list[Merge] = field(default_factory=list)
    #: Taken back too late to count as a failure.
    late: list[Merge] = field(default_factory=list)


def deliveries_from(text: str) -> Deliveries:
    """A mapping written as TOML. Raises Invalid that says what is wrong."""
    try:
        return Deliveries.model_validate(tomllib.loads(text))
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise FileNotRead(f"The mapping cannot be used: {told}.") from None
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise FileNotRead(f"The mapping cannot be used: {error}") from None


def deliveries(file: TextIO, mapping: Deliveries, known: Known) -> Iterator[tuple[int, Event | Invalid]]:
    """Two facts of each merge: that it was deployed, and how that ended. What was told otherwise before is corrected:
    a merge may be taken back after it was imported."""
    rows = csv.DictReader(file, restval="")
    wanted = {mapping.id, mapping.at, mapping.title, *filter(None, (mapping.change,))}
    if missing := sorted(wanted - set(rows.fieldnames or ())):
        raise FileNotRead(f"The file has no column {missing[0]!a}. It has: {', '.join(rows.fieldnames or ())}.")
    merges = []
    for number, row in enumerate(rows, start=1):
        merge = _merge(number, row, mapping)
        if isinstance(merge, Invalid):
            yield number, merge
        else:
            merges.append(merge)
    read = judged(merges, period(mapping.taken_back_within))
    for merge in read.unclear:
        told = f"{merge.title[:80]!a} says that it takes something back, not what: nothing counts as taken back by it."
        yield merge.number, FileNotRead(told)
    for merge in read.merges:
        yield from _facts(merge, mapping, _outcome(merge, read, known), known)


def _merge(number: int, row: Mapping[str, str], mapping: Deliveries) -> Merge | Invalid:
    try:
        at = datetime.fromisoformat(row[mapping.at])
    except ValueError:
        return FileNotRead(f"{mapping.at}: {row[mapping.at][:40]!a} is no time.")
    if at.tzinfo is None or not row[mapping.id]:
        return FileNotRead(f"A merge needs {mapping.id}, and {mapping.at} with its zone.")
    return Merge(number, row[mapping.id], at, row[mapping.title], row.get(mapping.change, ""))


def judged(merges: Iterable[Merge], within: timedelta) -> Read:
    """Which merges were taken back by which."""
    read = Read(sorted(merges, key=lambda merge: (merge.at, -merge.number)))
    by_change: dict[str, Merge] = {}
    by_title: dict[str, Merge] = {}
    for merge in read.merges:
        if "revert" in merge.title.lower():
            _take_back(read, merge, _taken(merge, by_change, by_title), within)
        if merge.change:
            by_change[merge.change] = merge
        by_title[_NUMBER.sub("", merge.title)] = merge
    return read


def _taken(merge: Merge, by_change: Mapping[str, Merge], by_title: Mapping[str, Merge]) -> Merge | None:
    """The earlier merge that this one names; the newest of a title."""
    if match := _BRANCH.search(merge.title):
        return by_change.get(match[1])
    match = _TITLE.match(merge.title)
    return by_title.get(match[1]) if match else None


def _take_back(read: Read, merge: Merge, taken: Merge | None, within: timedelta) -> None:
    if taken is None:
        read.unclear.append(merge)
    elif merge.at - taken.at > within:
        read.late.append(merge)
    else:
        read.taken_back.setdefault(taken.id, merge)


def _outcome(merge: Merge, read: Read, known: Known) -> str:
    if merge.id in read.taken_back:
        return "rolled_back"
    return "failure" if merge.change and merge.change in known.causes else "success"


def _facts(merge: Merge, mapping: Deliveries, outcome: str, known: Known) -> Iterator[tuple[int, Event]]:
    about = {"deploy_id": merge.id, "repo": mapping.repo, "environment": mapping.environment, "sha": merge.id}
    deployed: Event = {"kind": "deployed", "occurredAt": merge.at.isoformat(), "payload": about}
    yield merge.number, {**deployed, "key": f"deployed:{mapping.repo}:{merge.id}"}
    finished = {**deployed, "kind": "deploy.finished", "payload": {**about, "outcome": outcome}}
    finished["key"] = f"deploy.finished:{mapping.repo}:{merge.id}"
    fact, told = known.outcomes.get(merge.id, ("", outcome))
    if told != outcome:
        finished |= {"supersedes": fact, "key": f"{finished['key']}:{fact}"}
    yield merge.number, finished


def known_of(repo: str) -> Known:
    """What facts say of the repository's deployments, and which of its changes incident reports name as a cause."""
    finished = Fact.objects.standing().filter(kind="deploy.finished", payload__repo=repo)
    told = finished.order_by("id").values_list("payload__deploy_id", "id", "payload__outcome")
    detected = Fact.objects.standing().filter(kind="incident_detected", payload__caused_by__isnull=False)
    causes = detected.values_list("payload__caused_by", flat=True)
    prefix = f"{repo}#"
    return Known(
        frozenset(str(each).removeprefix(prefix) for each in causes if str(each).startswith(prefix)),
        {str(deploy): (str(fact), str(outcome)) for deploy, fact, outcome in told},
    )
