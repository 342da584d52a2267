"""Values that people and other systems claim. They enter as they are said, marked as claims."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from accounts.idempotency import effect
from accounts.models import User
from incidents.models import Incident, TeamPage
from kpis.compute import dims_key
from kpis.errors import BadClaim, KpiRetired, WrongUnit
from kpis.evaluate import stable
from kpis.evidence import EvidenceInputs, Reason, Standing, Verdict, at_present, derive
from kpis.models import CLAIMS, EVERYONE, DefinitionStatus, KpiDefinition, KpiObservation, ObservationSource
from majorops.lib.times import SKEW, iso, to_millisecond
from majorops.lib.ulid import parse_ulid

#: How far a claim without a stated confidence is trusted.
CLAIMED = 0.4
#: The length of the column.
MAX_DIMS = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed value of a KPI: about an incident, one dispatch of it (`team_page_id`), or about everyone.

    About everyone it is a figure over `window` (default: the first of the formula) that ends at `timestamp`, for the
    group that `dims` names (default: all).
    """

    value: float
    timestamp: datetime
    units: str | None = None
    source: str = ObservationSource.API
    confidence: float | None = None
    team_page_id: str | None = None
    window: str = ""
    dims: Mapping[str, str] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    by: User | None = None
    #: What speaks against it, in a sentence: a doubt that the value keeps.
    contradiction: str = ""


def record_claim(
    definition: KpiDefinition, incident: Incident | None, claim: Claim, *, now: datetime
) -> tuple[KpiObservation, str]:
    """Stores a claim: ("new" | "changed" | "same"). The same claim twice is one row; another value is a revision.

    Without an incident it is about everyone. Raises KpiRetired, WrongUnit, BadClaim, each naming the field.
    """
    _check(definition, claim, now)
    key = _key(definition, incident, claim)
    with effect(incident):
        locked = KpiDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)
        history = list(locked.observations.filter(**key).order_by("-revision"))
        stored = next((row for row in history if row.is_current), None)
        sha = _claim_hash(locked, claim)
        if stored and stored.result_sha256 == sha:
            return stored, "same"
        if stored:
            KpiObservation.objects.filter(pk=stored.pk).update(is_current=False)
        row = _observation(locked, incident, claim, key, stored, now=now)
        row.revision, row.result_sha256 = history[0].revision + 1 if history else 1, sha
        row.save(force_insert=True)
    return row, "changed" if stored else "new"


def _check(definition: KpiDefinition, claim: Claim, now: datetime) -> None:
    if definition.status == DefinitionStatus.RETIRED:
        raise KpiRetired(field="kpi")
    if claim.units is not None and claim.units != definition.units:
        raise WrongUnit(f"{definition.slug} is measured in {definition.units}, not {claim.units}.", field="units")
    if not math.isfinite(claim.value) or abs(claim.value) >= 1e15:
        raise BadClaim(
            "value must be a finite number below 1e15. Leave the observation out if there is none.", field="value"
        )
    if claim.confidence is not None and not 0 <= claim.confidence <= 1:
        raise BadClaim("confidence must be a number from 0 to 1.", field="confidence")
    if claim.timestamp > now + SKEW:
        raise BadClaim(f"{iso(claim.timestamp)} lies in the future (it is {iso(now)}).", field="timestamp")
    if claim.source not in ObservationSource.values:
        allowed = ", ".join(ObservationSource.values)
        raise BadClaim(f"source must be one of {allowed}.", field="source")


def _key(definition: KpiDefinition, incident: Incident | None, claim: Claim) -> dict[str, object]:
    at = to_millisecond(claim.timestamp)
    if incident is None:
        window, group = _window(definition, claim), dims_key(_dims(definition, claim))
        return {"subject_key": EVERYONE, "dims_key": group, "window": window, "timestamp": at}
    if claim.window or claim.dims:
        raise BadClaim(
            "A value about an incident has no window and no dims; they belong to a value about everyone.",
            field="window" if claim.window else "dims",
        )
    return {"subject_key": _subject(incident, claim), "dims_key": "", "window": "", "timestamp": at}


def _window(definition: KpiDefinition, claim: Claim) -> str:
    windows = list((definition.spec or {}).get("windows") or ["all"])
    if claim.window and claim.window not in windows:
        raise BadClaim(f"{definition.slug} has the windows {', '.join(windows)}.", field="window")
    return claim.window or windows[0]


def _dims(definition: KpiDefinition, claim: Claim) -> Mapping[str, str]:
    """A figure is of everyone, or of one group of every dimension the definition groups by."""
    names = list((definition.spec or {}).get("group_by") or [])
    if claim.dims and sorted(claim.dims) != sorted(names):
        told = f"groups by {', '.join(names)}: name each of them, or none" if names else "has no groups"
        raise BadClaim(f"{definition.slug} {told}.", field="dims")
    if len(dims_key(claim.dims)) > MAX_DIMS:
        raise BadClaim(f"dims are longer than {MAX_DIMS} characters together.", field="dims")
    return claim.dims


def _subject(incident: Incident, claim: Claim) -> str:
    if claim.team_page_id is None:
        return f"incident:{incident.pk}"
    try:
        page_id = parse_ulid(claim.team_page_id)
        TeamPage.objects.get(pk=page_id, incident=incident)
    except (ValueError, TeamPage.DoesNotExist):
        raise BadClaim("This incident has no such team page.", field="team_page") from None
    return f"team_page:{page_id}"


def _claim_hash(definition: KpiDefinition, claim: Claim) -> str:
    said = [stable(claim.value), definition.units, claim.source, claim.confidence, claim.metadata]
    said += [claim.contradiction] if claim.contradiction else []
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _verdict(claim: Claim, confidence: float, stored: KpiObservation | None) -> Verdict:
    """A claim proves nothing by rows; in the place of a computed value it says so too."""
    found = derive(EvidenceInputs(value=claim.value, entered=True, n=1, min_n=1, mean_confidence=confidence))
    if claim.contradiction:
        found = Verdict(found.label, (Reason("contradicted", claim.contradiction), *found.reasons))
    computed = stored is not None and stored.source not in CLAIMS and stored.value is not None
    return at_present(found, Standing(overridden=computed, rows_say=stored.value if stored and computed else None))


def _observation(
    definition: KpiDefinition,
    incident: Incident | None,
    claim: Claim,
    key: dict[str, object],
    stored: KpiObservation | None,
    *,
    now: datetime,
) -> KpiObservation:
    confidence = CLAIMED if claim.confidence is None else claim.confidence
    verdict = _verdict(claim, confidence, stored)
    subject_type, _, subject_id = str(key["subject_key"]).partition(":")
    return KpiObservation(
        kpi=definition,
        incident=incident,
        subject_type=subject_type,
        subject_id=subject_id,
        **key,
        dims=dict(claim.dims),
        value=claim.value,
        units=definition.units,
        n=1,
        confidence=confidence,
        evidence=verdict.label,
        evidence_reasons=[asdict(reason) for reason in verdict.reasons],
        source=claim.source,
        definition_version=definition.versions.get(version=definition.current_version, minor=0),
        last_fact_at=to_millisecond(claim.timestamp) if incident is None else None,
        metadata={**claim.metadata, **({"claimedBy": claim.by.email} if claim.by else {})},
        created_at=now,
    )
