"""Stored figures, as a run would have left them, for tests that read them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kpis.evidence import Evidence
from kpis.models import EVERYONE, KpiDefinition, KpiObservation


def figure(slug: str, at: datetime, value: float | None, **columns: Any) -> KpiObservation:
    """The newest revision of a rollup; the one that stood there before is current no more."""
    definition = KpiDefinition.objects.get(pk=slug)
    dims = columns.pop("dims", {})
    key = {
        "kpi": definition,
        "subject_key": EVERYONE,
        "window": columns.pop("window", (definition.spec or {}).get("windows", ["all"])[0]),
        "dims_key": ";".join(f"{name}={each}" for name, each in sorted(dims.items())),
        "timestamp": at,
    }
    before = KpiObservation.objects.filter(**key)
    before.update(is_current=False)
    return KpiObservation.objects.create(
        **key,
        **{"n": 10, "evidence": Evidence.VERIFIED.value, "source": "worker", **columns},
        subject_type="org",
        subject_id="org",
        dims=dims,
        revision=before.count() + 1,
        value=value,
        reason="" if value is not None else "no_rows",
        units=definition.units,
        definition_version=definition.versions.order_by("-version", "-minor")[0],
        result_sha256="0" * 64,
        created_at=at,
    )
