"""THE ONLY WRITER. One function per thing people do to an incident; pages, API, CLI and intake call these.

Each works in this order: load the row under a lock, check the rule, write the row (compare-and-swap on
its version), write the history in the same transaction, and tell the listeners after commit. A refused
action writes nothing.

    opening        open_incident(*, title, severity, stamp, kind, alert_source, dedup_key, **fields) -> Incident
    phases         advance_phase(incident, to, *, stamp, reason, expected_version) -> Incident
                   change_status(incident, to, *, stamp, expected_version) -> Incident
    facts          edit_incident(incident, changes, *, stamp, expected_version) -> Incident
    roles          assign_role(incident, role, *, stamp, user, name, expected_version) -> Incident
    entries        post_entry(incident, title, *, stamp, description, type, visibility) -> TimelineEvent
                   correct_entry(incident, entry, *, stamp, title, description, occurred_at) -> TimelineEvent
    communication  post_update(incident, content, *, visibility, stamp) -> StatusUpdate
                   cut_milestone(incident, *, title, body, stamp, next_update_eta) -> Milestone
    dispatch       page_team(incident, team, *, stamp, contact_name, user) -> TeamPage
                   acknowledge_page(incident, page, *, stamp) -> TeamPage
                   record_arrival(incident, page, *, stamp, arrival_source) -> TeamPage
                   stand_down(incident, page, *, reason, stamp) -> TeamPage
    people         report_here(incident, *, stamp, team=None) -> Here(participant, page, is_new)
                   invite(incident, user, *, stamp) -> Participant
    closing        resolve(incident, *, summary, stamp, expected_version) -> Incident
                   reopen(incident, *, reason, stamp, to, expected_version) -> Incident
    undoing        undo(incident, event, *, stamp) -> TimelineEvent, the entry "Undone: ..."
                   undoable(incident, viewer, now) -> list[Undoable(event, seconds_left, words)], newest first
    past           record_past_incident(past, *, now) -> Recorded
                   record_new_past_incidents(pasts, *, now) -> list[Recorded], all or none

`expected_version` is the version the caller looked at. If the row has moved on, IncidentChanged is raised: its
`details["changes"]` lists what changed since as {field, old, new, by, at}, and `details["current"]` holds the present
values of the fields the caller wanted to change. Posting to the log never moves the version.

A page whose answer was undone is void, and its replacement stands for it: actions given the void row act on the
replacement. `TeamPage.objects` and `PhaseEntry.objects` leave out what was undone; `TeamPage.with_voided` and
`PhaseEntry.with_undone` do not. A log entry that was undone has `undone_by`, the entry that undid it.
"""

from incidents.actions._core import Stamp
from incidents.actions.closing import reopen, resolve
from incidents.actions.communication import cut_milestone, post_update
from incidents.actions.dispatch import Here, acknowledge_page, page_team, record_arrival, stand_down
from incidents.actions.entries import correct_entry, post_entry
from incidents.actions.facts import EDITABLE, REACH, edit_incident
from incidents.actions.opening import open_incident
from incidents.actions.past import Recorded, record_new_past_incidents, record_past_incident
from incidents.actions.people import invite, report_here
from incidents.actions.phases import advance_phase, change_status
from incidents.actions.roles import assign_role
from incidents.actions.undoing import Undoable, undo, undoable

__all__ = [
    "EDITABLE",
    "REACH",
    "Here",
    "Recorded",
    "Stamp",
    "Undoable",
    "acknowledge_page",
    "advance_phase",
    "assign_role",
    "change_status",
    "correct_entry",
    "cut_milestone",
    "edit_incident",
    "invite",
    "open_incident",
    "page_team",
    "post_entry",
    "post_update",
    "record_arrival",
    "record_new_past_incidents",
    "record_past_incident",
    "reopen",
    "report_here",
    "resolve",
    "stand_down",
    "undo",
    "undoable",
]
