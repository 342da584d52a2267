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
                   cut_milestone(incident, *, title, body, stamp, next_update_eta, no_promise_reason, entries)
                       -> Milestone
    promises       move_promise(incident, due_at, *, reason, stamp) -> PromiseMove
                   publish_no_change(incident, *, stamp, next_update_eta, reason) -> Milestone
                   alert_promise(incident, *, stamp) -> PromiseAlert | None
                   ledger_of(incident, now) -> list[Promised[Milestone]], what became of each promise
    drafts         keep_draft(incident, user, typed, *, now), forget_draft(incident, user)
    summaries      draft_summary(incident, body, *, origin, stamp) -> ExecSummary
                   accept_summary(incident, body, *, stamp, expected_version) -> Incident
    audience       ask(incident, question, *, stamp) -> TimelineEvent
                   confirm_read(incident, *, stamp) -> ReadReceipt
                   bookmark(incident, user, *, now) -> datetime | None, what is newer is new to them
    dispatch       page_team(incident, team, *, stamp, contact_name, user) -> TeamPage
                   acknowledge_page(incident, page, *, stamp) -> TeamPage
                   record_arrival(incident, page, *, stamp, arrival_source) -> TeamPage
                   stand_down(incident, page, *, reason, stamp) -> TeamPage
    people         report_here(incident, *, stamp, team=None) -> Here(participant, page, is_new)
                   invite(incident, user, *, stamp) -> Participant
    alerts         record_alert(incident, title, *, stamp, changes, description) -> TimelineEvent, from its source
    closing        resolve(incident, *, summary, stamp, expected_version) -> Incident
                   reopen(incident, *, reason, stamp, to, expected_version) -> Incident
    undoing        undo(incident, event, *, stamp) -> TimelineEvent, the entry "Undone: ..."
                   undoable(incident, viewer, now) -> list[Undoable(event, seconds_left, words)], newest first
                   wrong_team(incident, page, *, reason, stamp) -> TimelineEvent, the entry "Wrong team: ..."
    reviews        begin_review(incident, *, stamp) -> LearningReview
                   edit_review(incident, changes, *, stamp, expected_version) -> LearningReview
                   move_review(incident, to, *, stamp, reason, expected_version) -> LearningReview
                   add_follow_up(incident, *, stamp, title, type, priority, owner, due_on, ...) -> FollowUp
                   change_follow_up(incident, follow_up, changes, *, stamp, reason, expected_version) -> FollowUp
    surveys        ask_for_feedback(incident, person, *, stamp) -> SurveyInvitation
                   answer_survey(incident, invitation, score, *, stamp, comment) -> SurveyResponse
    links          link_incidents(incident, other, *, kind, reason, stamp) -> IncidentLink
                   unlink_incidents(incident, link, *, reason, stamp) -> IncidentLink
                   open_calendar(stamp) -> CalendarFeed, revoke_calendar(stamp) -> bool
    past           enter_past_incident(past, *, stamp) -> Incident
                   record_past_incident(past, *, now) -> Recorded
                   recorded_already(pasts) -> those with nothing new, by source and id; it only reads
                   record_new_past_incidents(pasts, *, now) -> list[Recorded], all or none

`expected_version` is the version the caller looked at. If the row has moved on, IncidentChanged is raised: its
`details["changes"]` lists what changed since as {field, old, new, by, at}, and `details["current"]` holds the present
values of the fields the caller wanted to change. Posting to the log never moves the version.

A page whose answer was undone is void, and its replacement stands for it: actions given the void row act on the
replacement. `TeamPage.objects` and `PhaseEntry.objects` leave out what was undone; `TeamPage.with_voided` and
`PhaseEntry.with_undone` do not. A log entry that was undone has `undone_by`, the entry that undid it.
"""

from incidents.actions._core import Stamp
from incidents.actions.alerts import record_alert
from incidents.actions.audience import ask, bookmark, confirm_read
from incidents.actions.closing import reopen, resolve
from incidents.actions.communication import cut_milestone, post_update
from incidents.actions.dispatch import Here, acknowledge_page, page_team, record_arrival, stand_down
from incidents.actions.drafts import forget_draft, keep_draft
from incidents.actions.entries import correct_entry, post_entry
from incidents.actions.facts import EDITABLE, REACH, edit_incident
from incidents.actions.links import link_incidents, open_calendar, revoke_calendar, unlink_incidents
from incidents.actions.opening import open_incident
from incidents.actions.past import (
    Recorded,
    add_past_entries,
    enter_past_incident,
    record_new_past_incidents,
    record_past_incident,
    recorded_already,
)
from incidents.actions.people import invite, report_here
from incidents.actions.phases import advance_phase, change_status
from incidents.actions.promises import alert_promise, ledger_of, move_promise, publish_no_change
from incidents.actions.reviews import add_follow_up, begin_review, change_follow_up, edit_review, move_review
from incidents.actions.roles import assign_role
from incidents.actions.summaries import accept_summary, draft_summary
from incidents.actions.surveys import answer_survey, ask_for_feedback
from incidents.actions.undoing import Undoable, undo, undoable, wrong_team

__all__ = [
    "EDITABLE",
    "REACH",
    "Here",
    "Recorded",
    "Stamp",
    "Undoable",
    "accept_summary",
    "acknowledge_page",
    "add_follow_up",
    "add_past_entries",
    "advance_phase",
    "alert_promise",
    "answer_survey",
    "ask",
    "ask_for_feedback",
    "assign_role",
    "begin_review",
    "bookmark",
    "change_follow_up",
    "change_status",
    "confirm_read",
    "correct_entry",
    "cut_milestone",
    "draft_summary",
    "edit_incident",
    "edit_review",
    "enter_past_incident",
    "forget_draft",
    "invite",
    "keep_draft",
    "ledger_of",
    "link_incidents",
    "move_promise",
    "move_review",
    "open_calendar",
    "open_incident",
    "page_team",
    "post_entry",
    "post_update",
    "publish_no_change",
    "record_alert",
    "record_arrival",
    "record_new_past_incidents",
    "record_past_incident",
    "recorded_already",
    "reopen",
    "report_here",
    "resolve",
    "revoke_calendar",
    "stand_down",
    "undo",
    "undoable",
    "unlink_incidents",
    "wrong_team",
]
