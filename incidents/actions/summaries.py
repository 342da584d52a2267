"""The executive summary: drafts for those who command, and the wording that a person accepted."""

from __future__ import annotations

from incidents.actions._core import Stamp, action, locked, log, write
from incidents.errors import NotAPerson
from incidents.lifecycle import EventType, Verb
from incidents.models import ExecSummary, Incident, Origin
from majorops.lib.text import clean_text


@action
def draft_summary(incident: Incident, body: str, *, origin: str, stamp: Stamp) -> ExecSummary:
    """Keeps a draft for those who command. The summary that executives read stays as it is."""
    text = clean_text(body, field="body", required=True)
    return _keep(incident, text, stamp, Origin(origin), is_accepted=False)


@action
def accept_summary(incident: Incident, body: str, *, stamp: Stamp, expected_version: int | None = None) -> Incident:
    """A person stands for this wording: executives read it from now on. A draft that was changed is the person's."""
    if stamp.by is None:
        raise NotAPerson
    current = locked(incident, expected_version, wanted=("exec_summary",))
    text = clean_text(body, field="body", required=True)
    drafted = ExecSummary.objects.filter(incident=current, is_accepted=False, body=text).last()
    before = current.exec_summary
    write(current, exec_summary=text)
    keep_accepted(current, stamp, Origin(drafted.origin) if drafted else Origin.PERSON)
    log(
        current,
        stamp,
        verb=Verb.SUMMARY,
        type=EventType.COMMAND,
        title="Executive summary accepted",
        changes={"exec_summary": [before, text]},
        incident_version=current.version,
    )
    return current


def keep_accepted(incident: Incident, stamp: Stamp, origin: Origin) -> ExecSummary:
    """Who stands for the summary that the incident has now. Call with the incident's row locked."""
    return _keep(incident, incident.exec_summary, stamp, origin, is_accepted=True)


def _keep(incident: Incident, body: str, stamp: Stamp, origin: Origin, *, is_accepted: bool) -> ExecSummary:
    return ExecSummary.objects.create(
        incident=incident,
        body=body,
        origin=origin,
        is_accepted=is_accepted,
        by=stamp.by,
        by_role=stamp.by.get_role_display() if stamp.by else stamp.actor[:60],
        created_at=stamp.at,
        recorded_at=stamp.now,
        source=stamp.source,
    )
