"""RULES: the words of alert intake. Pure."""

from __future__ import annotations

from django.db.models import TextChoices


class SourceKind(TextChoices):
    """Who speaks, and so how the body is read."""

    PAGERDUTY = "pagerduty", "PagerDuty webhook (v3, v2)"
    PAGERDUTY_EVENTS = "events_v2", "Events API v2 (/v2/enqueue)"
    OPSGENIE = "opsgenie", "Opsgenie"
    ALERTMANAGER = "alertmanager", "Prometheus Alertmanager"
    GRAFANA = "grafana", "Grafana (legacy and unified)"
    DATADOG = "datadog", "Datadog"
    STATUSPAGE = "statuspage", "Statuspage"
    NEWRELIC = "newrelic", "New Relic"
    GENERIC = "generic", "MajorOps format, signed (Standard Webhooks)"
    MAPPED = "mapped", "Any JSON, by a field map"


class Policy(TextChoices):
    """What becomes of an alert that no open incident has."""

    OPEN = "open", "Open an incident"
    CANDIDATE = "candidate", "Make a candidate; a person accepts it"
    ATTACH = "attach", "Attach only, to an incident that names it"


class State(TextChoices):
    """What its source says of an alert."""

    FIRING = "firing", "Firing"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


class Standing(TextChoices):
    """What we made of an alert."""

    WAITING = "waiting", "Waits for a person"
    LINKED = "linked", "Belongs to an incident"
    DISMISSED = "dismissed", "Dismissed"
    #: Its end came before its beginning.
    HELD = "held", "Held: it ended before we heard of it"
    IGNORED = "ignored", "Not acted upon"


class Verdict(TextChoices):
    """What became of a delivery."""

    OPENED = "opened", "Opened an incident"
    ATTACHED = "attached", "Attached to an incident"
    CANDIDATE = "candidate", "Made a candidate"
    UPDATED = "updated", "Updated what was known"
    PARKED = "parked", "Parked"
    IGNORED = "ignored", "Ignored"
    FAILED = "failed", "Failed"


#: The gravest first: a delivery of several alerts is called by the first of these that one of them got.
GRAVITY = (
    Verdict.FAILED,
    Verdict.OPENED,
    Verdict.CANDIDATE,
    Verdict.ATTACHED,
    Verdict.UPDATED,
    Verdict.PARKED,
    Verdict.IGNORED,
)
