"""RULES: what an integration can be allowed, one word each."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """`area:verb`. An integration may do what its scopes name, and nothing else."""

    INCIDENTS_READ = "incidents:read"
    INCIDENTS_READ_INTERNAL = "incidents:read_internal"
    INCIDENTS_WRITE = "incidents:write"
    TIMELINE_WRITE = "timeline:write"
    ALERTS_WRITE = "alerts:write"
    FACTS_WRITE = "facts:write"
    KPIS_READ = "kpis:read"
    KPIS_WRITE = "kpis:write"
    #: May change definitions and compute figures anew, as an administrator may.
    KPIS_DEFINE = "kpis:define"
    TEAMS_READ = "teams:read"
    EXPORT_READ = "export:read"
    METRICS_READ = "metrics:read"
    #: May set a row public. Without it everything an integration writes is internal.
    PUBLISH = "publish"
