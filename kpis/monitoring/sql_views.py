"""Read-only views for people with a SQL client, as a script for an administrator to run.

They are no migration: a view that hangs on a table makes the next change of that table fail, on both databases.
"""

from __future__ import annotations

#: name -> what it is, and its SELECT. No person, no restricted incident, no free text.
VIEWS: dict[str, tuple[str, str]] = {
    "bi_kpi_definitions": (
        "Every KPI that is not about single people.",
        """SELECT slug, name, units, visibility, owner, status, current_version AS version
  FROM kpi_definitions WHERE NOT is_personal""",
    ),
    "bi_kpi_figures": (
        "The current figure of every KPI, group, window and moment.",
        """SELECT o.kpi_id AS kpi, o."window", o.dims_key AS scope, o."timestamp" AS as_of, o.value, o.reason, o.units,
       o.n, o.median, o.p90, o.numerator, o.denominator, o.evidence, o.source, o.revision
  FROM kpi_observations o JOIN kpi_definitions d ON d.slug = o.kpi_id
 WHERE o.is_current AND o."window" <> '' AND NOT d.is_personal""",
    ),
    "bi_kpi_targets": (
        "What is aimed at.",
        """SELECT definition_id AS kpi, severity, alarm_level, persona, statistic, operator, value, warn_value,
       effective_from, effective_to, due_on
  FROM kpi_targets""",
    ),
    "bi_incidents": (
        "Incidents that happened, without drills and restricted ones.",
        """SELECT id, severity, status, phase, detected_at, resolved_at, issue_time, resolve_time, customer_count
  FROM incidents WHERE NOT restricted AND kind IN ('real', 'backfilled')""",
    ),
    "bi_alert_events": (
        "What became of the alert rules.",
        """SELECT rule_id AS rule, kind, at, recorded_at, condition, value FROM kpi_alert_events""",
    ),
}


def script() -> str:
    """Makes the views anew. The same text runs on PostgreSQL and SQLite."""
    parts = ["-- Read-only views of MajorOps. Run again after every upgrade, and drop them before one."]
    for name, (about, select) in VIEWS.items():
        parts.append(f"-- {about}\nDROP VIEW IF EXISTS {name};\nCREATE VIEW {name} AS\n{select};")
    return "\n\n".join(parts) + "\n"


def drop_script() -> str:
    """Takes them away, before an upgrade."""
    return "".join(f"DROP VIEW IF EXISTS {name};\n" for name in VIEWS)
