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


class WrongIncident(DomainError):
    """That entry belongs to another incident."""

    code = "wrong_incident"
    status = 422
