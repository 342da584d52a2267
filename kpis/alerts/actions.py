"""THE ONLY WRITER of alert rules and of what happens to them.

    check(now)                      every rule against its figures; a job does it every few minutes
    acknowledge(rule, by, ...)      somebody looks after it: the ladder stops
    save(rule, editor)              a rule as it should stand; changed terms begin anew
    watch_from(rule, begin, ...)    replays the figures of the past, in order
    install_missing(now)            the documented rules, once

A rule's course is replayed from its figures each time, so figures that come late change it. What they add is appended;
what they say never was is withdrawn, never deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.idempotency import effect
from accounts.models import User
from incidents.outbox import queue_message
from kpis.actions import Editor
from kpis.alerts.reading import ASIDE, condition_of, in_words, is_measured, readings, terms_of
from kpis.alerts.rules import OPEN, Change, Course, Happening, State, due_steps, replay
from kpis.alerts.standard import STANDARD
from kpis.models import AlertEvent, AlertRule, AlertStep, KpiDefinition
from majorops.lib.errors import DomainError

log = logging.getLogger(__name__)
PATH = "/kpi-alerts/"
#: A change of these begins the rule anew.
TERMS = ("kpi_slug", "window", "dims_key", "statistic", "operator", "value", "hold_minutes", "no_data", "is_enabled")


class NotFiring(DomainError):
    """This rule does not fire, so there is nothing to acknowledge."""

    code = "not_firing"


class AlreadyAcknowledged(DomainError):
    """Somebody has acknowledged it already."""

    code = "already_acknowledged"


class SomeAlertsFailed(DomainError):
    """Some alert rules could not be checked."""

    code = "some_alerts_failed"


def check(now: datetime) -> str:
    """Every enabled rule, each by itself: one that breaks keeps no other from being checked."""
    count, changes, failed = 0, 0, []
    for slug in AlertRule.objects.filter(is_enabled=True).values_list("pk", flat=True):
        try:
            changes += len(evaluate(slug, now))
            count += 1
        except Exception:  # whatever is wrong with one rule, the others must be checked
            log.exception("Alert rule %s failed", slug)
            failed.append(slug)
    if failed:
        raise SomeAlertsFailed(f"Failed: {', '.join(failed)}; the log says why. The others are done.")
    return f"{count} rules checked, {changes} changes."


@transaction.atomic
def evaluate(slug: str, now: datetime) -> list[AlertEvent]:
    """Replays the rule, records what is new, withdraws what no longer holds, and tells whoever is due."""
    rule = _locked(slug)
    definition = KpiDefinition.objects.filter(pk=rule.kpi_slug).first()
    if definition is None or not (rule.is_enabled and is_measured(definition)):
        return []
    known = _recorded(rule)
    stated = {event.at: event for event in known if event.kind == Happening.ACKNOWLEDGED}
    figures = readings(rule, definition, rule.watches_from, now)
    course = replay(terms_of(rule), figures, now, acknowledged=sorted(stated))
    written = [*_withdraw(rule, definition, course, known, now), *_append(rule, definition, course, known, now)]
    _tell(rule, course, written, now)
    return written


def _locked(slug: str) -> AlertRule:
    return AlertRule.objects.select_for_update(no_key=True).get(pk=slug)


def _recorded(rule: AlertRule) -> list[AlertEvent]:
    """What the rule entered under its present terms, and acknowledgements that were withdrawn with their cause."""
    rows = AlertEvent.objects.filter(rule=rule, rule_version=rule.version).exclude(kind__in=ASIDE)
    return list(rows.prefetch_related("withdrawn_by").order_by("at", "id"))


def _live(events: Iterable[AlertEvent]) -> dict[tuple[str, datetime], AlertEvent]:
    return {(event.kind, event.at): event for event in events if not event.withdrawn_by.all()}


def _append(
    rule: AlertRule, definition: KpiDefinition, course: Course, known: list[AlertEvent], now: datetime
) -> list[AlertEvent]:
    live, stated = _live(known), {event.at: event for event in known if event.kind == Happening.ACKNOWLEDGED}
    written = []
    for change in course.changes:
        if (change.state.value, change.at) not in live:
            before = stated.get(change.at) if change.state is State.ACKNOWLEDGED else None
            written.append(_event(rule, definition, change, now, before))
    return written


def _event(
    rule: AlertRule, definition: KpiDefinition | None, change: Change, now: datetime, before: AlertEvent | None = None
) -> AlertEvent:
    reading = change.reading
    return AlertEvent.objects.create(
        rule=rule,
        rule_version=rule.version,
        kind=change.state.value,
        at=change.at,
        recorded_at=now,
        condition=condition_of(rule, definition)[:120],
        value=reading.value if reading else None,
        observation_id=(reading.ref or None) if reading else None,
        by=before.by if before else None,
        note=before.note if before else "",
    )


def _withdraw(
    rule: AlertRule, definition: KpiDefinition, course: Course, known: list[AlertEvent], now: datetime
) -> list[AlertEvent]:
    holding = {(change.state.value, change.at) for change in course.changes}
    return [
        AlertEvent.objects.create(
            rule=rule,
            rule_version=rule.version,
            kind=Happening.WITHDRAWN.value,
            at=now,
            recorded_at=now,
            condition=condition_of(rule, definition)[:120],
            note=f"{event.get_kind_display()} of {event.at:%Y-%m-%d %H:%M} UTC: figures that came later say otherwise.",
            withdraws=event,
        )
        for key, event in _live(known).items()
        if key not in holding
    ]


# --- Telling ---


def _tell(rule: AlertRule, course: Course, written: list[AlertEvent], now: datetime) -> None:
    """The rungs that are due while it fires; and those who were told, once it is over or never was."""
    over = [event for event in written if event.kind in (Happening.RESOLVED, Happening.WITHDRAWN)]
    if over and course.state not in OPEN:
        _tell_the_end(rule, over[-1], now)
    if course.state is State.FIRING:
        firing = _last(rule, Happening.FIRING)
        steps = list(rule.steps.all())
        due = due_steps([step.after_minutes for step in steps], firing.recorded_at, _told(rule, firing), now)
        for step in (each for each in steps if each.after_minutes in due):
            _tell_step(rule, step, firing, now)


def _last(rule: AlertRule, kind: Happening) -> AlertEvent:
    rows = AlertEvent.objects.filter(rule=rule, rule_version=rule.version, kind=kind.value, withdrawn_by=None)
    return rows.order_by("-at", "-id")[0]


def _told(rule: AlertRule, firing: AlertEvent) -> set[int]:
    rows = AlertEvent.objects.filter(rule=rule, kind=Happening.TOLD.value, id__gt=firing.pk)
    return {step for step in rows.values_list("step", flat=True) if step is not None}


def _tell_step(rule: AlertRule, step: AlertStep, firing: AlertEvent, now: datetime) -> None:
    within = f" Respond within {in_words(rule.respond_minutes)}." if rule.respond_minutes else ""
    since = f"It fires since {firing.at:%Y-%m-%d %H:%M} UTC and nobody has acknowledged it."
    text = f"{rule.description}\n\n{since}{within}\nThe figure stands on the page, for those who may read it."
    title = f"{rule.get_severity_display()}: {rule.name}"
    queue_message(to=addresses(step.emails), title=title, text=text.strip(), now=now, path=PATH)
    _aside(rule, firing, step.after_minutes, step.contact, now)


def _aside(rule: AlertRule, firing: AlertEvent, step: int, contact: str, now: datetime) -> None:
    AlertEvent.objects.create(
        rule=rule, rule_version=rule.version, kind=Happening.TOLD.value, at=now, recorded_at=now,
        condition=firing.condition, step=step, note=contact,
    )  # fmt: skip


def _tell_the_end(rule: AlertRule, event: AlertEvent, now: datetime) -> None:
    """To those who were told of what is over now."""
    fired = AlertEvent.objects.filter(rule=rule, kind=Happening.FIRING.value, id__lt=event.pk).order_by("-id").first()
    steps = _told(rule, fired) if fired else set()
    to = [address for step in rule.steps.filter(after_minutes__in=steps) for address in addresses(step.emails)]
    what = "is resolved" if event.kind == Happening.RESOLVED else "was withdrawn: figures that came later say otherwise"
    queue_message(to=to, title=f"Over: {rule.name}", text=f"The alert {what}.", now=now, path=PATH)


def addresses(text: str) -> list[str]:
    """One a line, or with commas between them."""
    return list(dict.fromkeys(text.replace(",", " ").replace(";", " ").lower().split()))


# --- What people do ---


def acknowledge(rule: AlertRule, by: User, *, now: datetime, note: str = "") -> AlertEvent:
    """Somebody looks after it. Raises NotFiring, AlreadyAcknowledged."""
    with effect(rule):
        _locked(rule.pk)
        rows = AlertEvent.objects.filter(rule=rule, rule_version=rule.version, withdrawn_by=None)
        last = rows.exclude(kind__in=ASIDE).order_by("-at", "-id").first()
        if last is not None and last.kind == State.ACKNOWLEDGED:
            who = last.by.name if last.by else "Somebody"
            raise AlreadyAcknowledged(f"{who} acknowledged it at {last.at:%H:%M} UTC.")
        if last is None or last.kind != State.FIRING:
            raise NotFiring
        return AlertEvent.objects.create(
            rule=rule, rule_version=rule.version, kind=Happening.ACKNOWLEDGED.value, at=now, recorded_at=now,
            condition=last.condition, value=last.value, by=by, note=" ".join(note.split())[:300],
        )  # fmt: skip


@transaction.atomic
def save(rule: AlertRule, editor: Editor) -> None:
    """Saves the rule. Changed terms end what is open and are watched from now on."""
    before = AlertRule.objects.select_for_update(no_key=True).filter(pk=rule.pk).first()
    if before is None:
        rule.watches_from = editor.now
    elif any(getattr(before, name) != getattr(rule, name) for name in TERMS):
        _end(before, editor.now, "The rule was changed.")
        rule.version, rule.watches_from = before.version + 1, editor.now
    rule.save()
    audit.record(
        audit.Action.KPI_DEFINITION_CHANGE,
        request=editor.request,
        by=editor.person,
        obj=rule,
        after={"alert_rule": rule.slug, "condition": condition_of(rule, None), "version": rule.version},
    )


@transaction.atomic
def watch_from(slug: str, begin: datetime, *, now: datetime) -> list[AlertEvent]:
    """Replays the figures from then on, in order. What fires no more by now is told to nobody."""
    rule = _locked(slug)
    _end(rule, now, "The rule is replayed.")
    rule.version, rule.watches_from = rule.version + 1, begin
    rule.save(update_fields=["version", "watches_from"])
    return evaluate(slug, now)


def _end(rule: AlertRule, now: datetime, why: str) -> None:
    rows = AlertEvent.objects.filter(rule=rule, rule_version=rule.version, withdrawn_by=None).exclude(kind__in=ASIDE)
    last = rows.order_by("-at", "-id").first()
    if last is None or last.kind not in (State.PENDING, *OPEN):
        return
    kind = Happening.OK if last.kind == State.PENDING else Happening.RESOLVED
    AlertEvent.objects.create(
        rule=rule, rule_version=rule.version, kind=kind.value, at=now, recorded_at=now, condition=last.condition,
        note=why,
    )  # fmt: skip


def install_missing(now: datetime) -> list[str]:
    """The documented rules that are not there. One that an administrator changed stays as it is."""
    there = set(AlertRule.objects.values_list("pk", flat=True))
    missing = [each for each in STANDARD if each.slug not in there]
    for each in missing:
        rule = AlertRule.objects.create(watches_from=now, **each.columns)
        for after, contact in each.ladder:
            AlertStep.objects.create(rule=rule, after_minutes=after, contact=contact)
    return [each.slug for each in missing]
