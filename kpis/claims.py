"""Values that people and other systems claim. They enter as they are said, marked as claims."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime

from django.db import transaction

from accounts.models import User
from incidents.models import Incident, TeamPage
from kpis.errors import BadClaim, KpiRetired, WrongUnit
from kpis.evaluate import stable
from kpis.evidence import EvidenceInputs, derive
from kpis.models import DefinitionStatus, KpiDefinition, KpiObservation, ObservationSource
from majorops.lib.times import SKEW, iso, to_millisecond
from majorops.lib.ulid import parse_ulid

#: How far a claim without a stated confidence is trusted.
CLAIMED = 0.4


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed value of a KPI about an incident, or about one dispatch of it (`team_page_id`)."""

    value: float
    timestamp: datetime
    units: str | None = None
    source: str = ObservationSource.API
    confidence: float | None = None
    team_page_id: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    by: User | None = None


def record_claim(
    definition: KpiDefinition, incident: Incident, claim: Claim, *, now: datetime
) -> tuple[KpiObservation, str]:
    """Stores a claim: ("new" | "changed" | "same"). The same claim twice is one row; another value is a revision.

    Raises KpiRetired, WrongUnit, BadClaim, each naming the field.
    """
    _check(definition, claim, now)
    subject = _subject(incident, claim)
    key = {"subject_key": subject, "dims_key": "", "window": "", "timestamp": to_millisecond(claim.timestamp)}
    with transaction.atomic():
        locked = KpiDefinition.objects.select_for_update(no_key=True).get(pk=definition.pk)
        history = locked.observations.filter(**key).order_by("-revision")
        stored = next((row for row in history if row.is_current), None)
        sha = _claim_hash(locked, claim)
        if stored and stored.result_sha256 == sha:
            return stored, "same"
        history.filter(is_current=True).update(is_current=False)
        last = history.first()
        row = _observation(locked, incident, claim, key, sha, revision=last.revision + 1 if last else 1, now=now)
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
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _observation(
    definition: KpiDefinition,
    incident: Incident,
    claim: Claim,
    key: dict[str, object],
    sha: str,
    *,
    revision: int,
    now: datetime,
) -> KpiObservation:
    confidence = CLAIMED if claim.confidence is None else claim.confidence
    verdict = derive(EvidenceInputs(value=claim.value, entered=True, n=1, min_n=1, mean_confidence=confidence))
    subject_type, _, subject_id = str(key["subject_key"]).partition(":")
    return KpiObservation(
        kpi=definition,
        incident=incident,
        subject_type=subject_type,
        subject_id=subject_id,
        **key,
        revision=revision,
        value=claim.value,
        units=definition.units,
        n=1,
        confidence=confidence,
        evidence=verdict.label,
        evidence_reasons=[asdict(reason) for reason in verdict.reasons],
        source=claim.source,
        definition_version=definition.versions.get(version=definition.current_version),
        result_sha256=sha,
        metadata={**claim.metadata, **({"claimedBy": claim.by.email} if claim.by else {})},
        created_at=now,
    )
