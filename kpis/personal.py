"""Response times of single people: an input to rotations, never a judgement of people.

    own(person)         what one sees of oneself: every answer, figures from five on, and who looked
    look(viewer, ...)   what the holder of a grant sees of somebody: figures from five on, and it is audited
    export(person)      everything that is known of oneself, kept or not
    grant, end          who may look; no role implies it, and nobody grants it to themselves

The figure is the definition's own formula, computed when it is asked for from dispatches that are kept with their
incidents. It is never stored: an append-only store could not forget it. Older dispatches than the retention are left
out of every figure and list; only the export of one's own still names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet

from accounts import audit
from accounts.audit import Action
from accounts.emails import canonical_email
from accounts.idempotency import effect
from accounts.models import AuditEvent, User
from accounts.visibility import Viewer
from incidents.models import Incident
from kpis.actions import Editor
from kpis.definitions import formula_of
from kpis.evaluate import Evaluation, Measurement
from kpis.formulas import Formula, source_names
from kpis.models import DefinitionStatus, KpiDefinition, PersonalGrant
from kpis.sources import Row, Scope, load
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.times import iso
from majorops.lib.visibility import visible

SLUG = "engineer-response-time"
#: Fewer answers would tell of single calls, not of a person's habit.
SMALLEST = 5
#: What others see is one figure: of two spans, the difference would tell of single calls.
FOR_OTHERS = "P90D"
WINDOWS = {"P30D": "30 days", "P60D": "60 days", "P90D": "90 days"}


class NotGranted(DomainError):
    """Response times of other people are for those whom an administrator has named. No role implies it."""

    code = "grant_required"
    status = 403


class NobodyOfThatName(DomainError):
    """Nobody has this e-mail address here."""

    code = "unknown_person"
    status = 404


class AlreadyGranted(DomainError):
    """This person may look already. End that grant first."""

    code = "already_granted"


class NotToOneself(DomainError):
    """Nobody lets themselves look at others. Ask another administrator."""

    code = "not_to_oneself"
    status = 403


class NotMeasured(DomainError):
    """Response times of people are not measured: the definition engineer-response-time is not active."""

    code = "not_measured"


# --- What is known of a person ---


@dataclass(frozen=True, slots=True)
class Answer:
    """One call that the person answered by themselves. `incident` is None where they may not open it any more."""

    ref: str
    paged_at: datetime
    minutes: float
    confidence: float | None
    incident: Incident | None
    #: False for a restricted incident: it is in nobody's figure.
    counts: bool = True
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """One span. Below five answers there is none, and how many there were stays untold to others."""

    window: str
    n: int | None
    mean: float | None
    median: float | None
    p90: float | None

    @property
    def is_shown(self) -> bool:
        return self.mean is not None

    @property
    def label(self) -> str:
        return WINDOWS.get(self.window, self.window)


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody looked."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Own:
    figures: tuple[Figure, ...]
    answers: tuple[Answer, ...]
    looks: tuple[Look, ...]
    kept_days: int


def kept_since(now: datetime) -> datetime:
    """Older dispatches are in no figure of a person."""
    return now - timedelta(days=settings.MAJOROPS_PERSONAL_DAYS)


def own(person: User, now: datetime) -> Own:
    formula = _formula()
    figures = tuple(_figure(formula, person, window, now) for window in WINDOWS)
    return Own(
        figures=tuple(figures),
        answers=tuple(answer for answer in _answers(formula, person, now) if answer.is_kept),
        looks=looks_at(person),
        kept_days=settings.MAJOROPS_PERSONAL_DAYS,
    )


def looks_at(person: User) -> tuple[Look, ...]:
    """Who looked at this person's times, newest first: for the person, who reads nothing else of the audit trail."""
    events = AuditEvent.objects.filter(
        action=Action.PERSONAL_KPI_VIEW, object_type=User._meta.label_lower, object_id=person.pk
    )
    return tuple(Look(event.at, event.actor_name, event.reason) for event in events.order_by("-at", "-pk"))


def _formula() -> Formula:
    definition = KpiDefinition.objects.filter(slug=SLUG, status=DefinitionStatus.ACTIVE, is_personal=True).first()
    formula = formula_of(definition) if definition is not None else None
    if formula is None:
        raise NotMeasured
    return formula


def _rows(formula: Formula, person: User, now: datetime, *, with_restricted: bool) -> dict[str, list[Row]]:
    return load(source_names(formula), Scope(now, with_restricted=with_restricted, user_id=person.pk))


def _figure(formula: Formula, person: User, window: str, now: datetime) -> Figure:
    """The formula over the dispatches of this person that are kept and not restricted."""
    rows = {
        name: [row for row in found if _is_kept(row, now)]
        for name, found in _rows(formula, person, now, with_restricted=False).items()
    }
    return _shown(window, Evaluation(formula, rows, as_of=now).measure(window, {"user": person.pk}))


def _is_kept(row: Row, now: datetime) -> bool:
    paged_at = row.get("paged_at")
    return isinstance(paged_at, datetime) and paged_at >= kept_since(now)


def _shown(window: str, found: Measurement) -> Figure:
    if found.n < SMALLEST:
        return Figure(window, None, None, None, None)
    return Figure(window, found.n, found.value, found.median, found.p90)


def _answers(formula: Formula, person: User, now: datetime) -> list[Answer]:
    """One's own answers, restricted incidents too, newest first."""
    tables = _rows(formula, person, now, with_restricted=True)
    by_key = {str(row["subject_key"]): row for rows in tables.values() for row in rows}
    samples = Evaluation(formula, tables, as_of=now).samples()
    known = Incident.objects.filter(pk__in={sample.incident_id for sample in samples})
    incidents = {incident.pk: incident for incident in visible(known, person)}
    restricted = set(known.filter(restricted=True).values_list("pk", flat=True))
    found = [
        Answer(
            ref=sample.subject_key,
            paged_at=sample.timestamp,
            minutes=sample.measurement.value,
            confidence=sample.measurement.confidence,
            incident=incidents.get(str(sample.incident_id)),
            counts=sample.incident_id not in restricted,
            is_kept=_is_kept(by_key[sample.subject_key], now),
        )
        for sample in samples
        if sample.measurement.value is not None
    ]
    return sorted(found, key=lambda answer: (answer.paged_at, answer.ref), reverse=True)


# --- One's own data, to take along ---

EXPORTED = ("ref", "pagedAt", "minutes", "confidence", "incident", "counts", "kept")


def export(person: User, now: datetime) -> dict[str, Any]:
    """Everything, older than the retention too: who asks for their data gets all of it."""
    formula = _formula()
    figures = [_figure(formula, person, window, now) for window in WINDOWS]
    return {
        "person": person.email,
        "asOf": iso(now),
        "keptDays": settings.MAJOROPS_PERSONAL_DAYS,
        "figures": [documented(figure) for figure in figures],
        "answers": [
            {
                "ref": answer.ref,
                "pagedAt": iso(answer.paged_at),
                "minutes": answer.minutes,
                "confidence": answer.confidence,
                "incident": answer.incident.pk if answer.incident else None,
                "counts": answer.counts,
                "kept": answer.is_kept,
            }
            for answer in _answers(formula, person, now)
        ],
        "looks": [{"at": iso(look.at), "by": look.by, "reason": look.reason} for look in looks_at(person)],
    }


def documented(figure: Figure) -> dict[str, Any]:
    """A figure for programs; `reason` says why there is none."""
    return {
        "window": figure.window,
        "n": figure.n,
        "meanMinutes": figure.mean,
        "medianMinutes": figure.median,
        "p90Minutes": figure.p90,
        "reason": None if figure.is_shown else f"fewer than {SMALLEST} answers",
    }


# --- Looking at somebody else ---


def may_look(viewer: Viewer, now: datetime) -> bool:
    """A person with a grant in force. Never a program."""
    return isinstance(viewer, User) and viewer.is_active and grants_of(viewer).filter(granted_at__lte=now).exists()


def check_may_look(viewer: Viewer, now: datetime) -> None:
    if not may_look(viewer, now):
        raise NotGranted


def grants_of(person: User) -> QuerySet[PersonalGrant]:
    return PersonalGrant.objects.filter(person=person, ended_at=None)


def look(editor: Editor, email: str, *, reason: str) -> tuple[User, Figure]:
    """One figure of one person. That it was asked for is written down in any case, also where there is none.

    Raises NotGranted, Invalid without a reason, NobodyOfThatName.
    """
    check_may_look(editor.person, editor.now)
    if not reason.strip():
        raise Invalid("Say what you need it for: the person can read it.", field="reason")
    person = known_person(email)
    with effect():
        audit.record(
            Action.PERSONAL_KPI_VIEW,
            request=editor.request,
            by=editor.person,
            obj=person,
            after={"kpi": SLUG, "window": FOR_OTHERS, "person": person.email},
            reason=reason,
        )
    return person, _figure(_formula(), person, FOR_OTHERS, editor.now)


def known_person(email: str) -> User:
    try:
        return User.objects.get(email=canonical_email(email))
    except (User.DoesNotExist, ValueError, DomainError):
        raise NobodyOfThatName from None


# --- Who may look ---


def grant(row: PersonalGrant, editor: Editor) -> PersonalGrant:
    """Appends the grant. Raises NotToOneself, AlreadyGranted."""
    if editor.person is not None and row.person_id == editor.person.pk:
        raise NotToOneself
    row.granted_by, row.granted_at = editor.person, editor.now
    try:
        with effect():
            row.save()
            _record(row, editor, {"mayLook": False}, {"mayLook": True}, row.reason)
    except IntegrityError:
        raise AlreadyGranted from None
    return row


def end(row: PersonalGrant, editor: Editor) -> bool:
    """Ends a grant. False: it had ended already."""
    with effect():
        kept = PersonalGrant.objects.filter(pk=row.pk, ended_at=None)
        ended = bool(kept.update(ended_at=editor.now, ended_by=editor.person))
        if ended:
            _record(row, editor, {"mayLook": True}, {"mayLook": False}, "The grant was ended.")
    return ended


def _record(row: PersonalGrant, editor: Editor, before: dict[str, bool], after: dict[str, bool], why: str) -> None:
    audit.record(
        Action.VISIBILITY_CHANGE,
        request=editor.request,
        by=editor.person,
        obj=row,
        before=before,
        after={**after, "person": row.person.email},
        reason=why,
    )
