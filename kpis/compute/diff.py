"""What has to be written so that the stored observations say what the rows say.

The same writes nothing, another value appends a revision, a value whose source is gone is retired. What people stated
is never replaced: the run leaves beside it what it would have said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Q

from kpis.compute.drafts import Draft, Key, inputs_hash, result_hash
from kpis.models import CLAIMS, KpiDefinition, KpiDefinitionVersion, KpiObservation


@dataclass(slots=True)
class Counts:
    """What a run did. `kept` are claims that it left alone, `shadowed` those it newly contradicts or confirms."""

    new: int = 0
    changed: int = 0
    same: int = 0
    retired: int = 0
    kept: int = 0
    shadowed: int = 0
    #: Rows that gave no value: reason and count.
    without_value: dict[str, int] = field(default_factory=dict)

    @property
    def wrote(self) -> bool:
        return bool(self.new or self.changed or self.retired or self.shadowed)

    def add(self, other: Counts) -> None:
        for name in ("new", "changed", "same", "retired", "kept", "shadowed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.without_value.items():
            self.without_value[reason] = self.without_value.get(reason, 0) + count


@dataclass(frozen=True, slots=True)
class Stored:
    """What of a current observation a comparison needs."""

    pk: str
    source: str
    revision: int
    result_sha256: str


class Addition(NamedTuple):
    """A row to append; `claim` for one that is only the shadow of what somebody stated."""

    draft: Draft
    key: Key
    sha: str
    inputs_sha: str
    claim: str | None = None


class Diff:
    """The difference between drafts and what is current in their scope."""

    def __init__(
        self,
        version: KpiDefinitionVersion,
        drafts: Iterable[Draft],
        current: Mapping[Key, Stored],
        *,
        force: bool = False,
    ) -> None:
        self.version = version
        self.force = force
        self.counts = Counts()
        self.appended: list[Addition] = []
        self.superseded: list[str] = []
        #: What is written in place of what: the stored row, and what the rows say now.
        self.changed: list[tuple[str, Draft]] = []
        self.forced: list[str] = []
        self._shadows = _newest_shadows(row.pk for row in current.values() if row.source in CLAIMS)
        #: Where revisions begin to count for keys that have a current row which stays.
        self.revisions: dict[Key, int] = {}
        vanished = dict(current)
        for draft in drafts:
            key = draft.key
            self._compare(draft, key, vanished.pop(key, None))
        self.vanished = [row.pk for row in vanished.values() if row.source not in CLAIMS]
        self.counts.retired = len(self.vanished)

    def _compare(self, draft: Draft, key: Key, stored: Stored | None) -> None:
        if draft.measurement.value is None:
            reason = draft.measurement.reason or "no value"
            self.counts.without_value[reason] = self.counts.without_value.get(reason, 0) + 1
        inputs_sha = inputs_hash(draft.measurement.used)
        found = Addition(draft, key, result_hash(draft, self.version, inputs_sha), inputs_sha)
        if stored is None:
            self.counts.new += 1
            self.appended.append(found)
        elif stored.source in CLAIMS:
            self._beside(found, stored)
        elif stored.result_sha256 == found.sha:
            self.counts.same += 1
        else:
            self.counts.changed += 1
            self.superseded.append(stored.pk)
            self.changed.append((stored.pk, draft))
            self.appended.append(found)

    def _beside(self, found: Addition, claim: Stored) -> None:
        """A claim stays, with what the rows say beside it; by force it goes."""
        if self.force:
            self.counts.changed += 1
            self.forced.append(claim.pk)
            self.appended.append(found)
            return
        self.counts.kept += 1
        if self._shadows.get(claim.pk) != found.sha:
            self.counts.shadowed += 1
            self.revisions[found.key] = claim.revision
            self.appended.append(found._replace(claim=claim.pk))


def current(definition: KpiDefinition, scope: Q) -> dict[Key, Stored]:
    """What is current in scope, by key."""
    rows = definition.observations.current().filter(scope).order_by()
    columns = ("subject_key", "window", "dims_key", "timestamp", "pk", "source", "revision", "result_sha256")
    return {row[:4]: Stored(*row[4:]) for row in rows.values_list(*columns).iterator(chunk_size=5000)}


def _newest_shadows(claims: Iterable[str]) -> dict[str, str]:
    """claim -> the hash of what the last run would have said in its place."""
    chosen = list(claims)
    if not chosen:
        return {}
    shadows = KpiObservation.objects.filter(claim__in=chosen).order_by("revision")
    return {str(claim): sha for claim, sha in shadows.values_list("claim_id", "result_sha256")}
