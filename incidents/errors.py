"""What an incident refuses. The docstring is the message a person reads."""

from __future__ import annotations

from majorops.lib.errors import DomainError, Invalid


class IncidentIsClosed(DomainError):
    """This incident is resolved. Reopen it first."""

    code = "incident_closed"


class IncidentIsOpen(DomainError):
    """This incident is open, so there is nothing to reopen."""

    code = "incident_open"


class PhaseCannotMove(DomainError):
    """The incident cannot move to that phase."""

    code = "phase_cannot_move"


class StatusCannotChange(DomainError):
    """The status cannot change that way."""

    code = "status_cannot_change"


class ReasonMissing(Invalid):
    """Say why: the log keeps the reason."""

    code = "reason_missing"


class NextUpdateMissing(Invalid):
    """Say when the next update comes: people wait for it while the incident is active."""

    code = "next_update_missing"


class NothingPromised(DomainError):
    """No update is promised, so there is nothing to move. Publish a milestone that promises one."""

    code = "nothing_promised"


class TextMissing(Invalid):
    """Write what happened: an empty entry helps nobody."""

    code = "text_missing"


class TimeCannotBe(Invalid):
    """That time cannot be right."""

    code = "time_cannot_be"


class IncidentChanged(DomainError):
    """Someone changed this incident while you were looking at it. Look again, then repeat what still applies."""

    code = "incident_changed"


class AlreadyOpen(DomainError):
    """An incident for this alert is open already."""

    code = "duplicate_alert"


class RoleHeld(DomainError):
    """This person holds the role already."""

    code = "role_held"


class PageIsOpen(DomainError):
    """This page has been answered already."""

    code = "page_answered"


class PageIsVoid(DomainError):
    """This page was undone. Page the team again if it is needed."""

    code = "page_void"


class UndoRefused(DomainError):
    """This can no longer be undone."""

    code = "undo_refused"


class TeamUnclear(Invalid):
    """Several of your teams were paged. Say which one you came for."""

    code = "team_unclear"


class NotAPerson(DomainError):
    """Only a person can do this, in their own name."""

    code = "people_only"
    status = 403


class TeamNotDispatchable(DomainError):
    """This team is switched off. An administrator can activate it."""

    code = "team_inactive"
    status = 422


class AskedAlready(DomainError):
    """You have just asked. The answer comes as an update."""

    code = "asked_already"
    status = 429


class NothingToRead(DomainError):
    """There is no milestone to confirm yet."""

    code = "nothing_to_read"


class WrongIncident(DomainError):
    """That entry belongs to another incident."""

    code = "wrong_incident"
    status = 422


class ReviewIsPublished(DomainError):
    """This review is published. Take it back to “In review”, with a reason, to change it."""

    code = "review_published"


class ReviewCannotMove(DomainError):
    """The review cannot go there from where it is."""

    code = "review_cannot_move"


class ReviewIncomplete(DomainError):
    """Something is still missing before this review goes on."""

    code = "review_incomplete"


class ReviewChanged(DomainError):
    """Somebody changed this while you were writing. Look again, then repeat what still applies."""

    code = "review_changed"


class ReviewExists(DomainError):
    """This incident has a learning review already."""

    code = "review_exists"


class FollowUpIsOver(DomainError):
    """This follow-up is over. Open it again before changing what it says."""

    code = "follow_up_over"


class SurveyIsClosed(DomainError):
    """This survey is closed. Thank you for wanting to answer."""

    code = "survey_closed"
    status = 410


class ScoreUnknown(Invalid):
    """Choose a number from 1 to 5."""

    code = "score_unknown"


class LinkCannotBe(DomainError):
    """These two incidents cannot be linked that way."""

    code = "link_refused"


class IncidentStillOpen(DomainError):
    """This incident goes on. Its learning review begins when it is resolved."""

    code = "incident_open"
