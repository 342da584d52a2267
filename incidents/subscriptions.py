"""THE ONLY WRITER of subscriptions, and who is to be told of an incident by e-mail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core import signing
from django.db.models import Q

from accounts.idempotency import effect
from accounts.models import User
from incidents.models import Delivery, DeliveryState, Incident, Subscription
from incidents.outbox_rules import LAST_WORDS, SEVERITIES, Wish, is_at_least, told_of_incident
from incidents.viewing import people_named
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.visibility import visible

_SALT = "incidents.subscriptions.stop"


class LinkIsBroken(DomainError):
    """This link is not complete. Copy it from the message again, or see Notifications."""

    code = "link_is_broken"
    status = 404


# --- Writing ---


def follow(incident: Incident, person: User, wish: str, *, now: datetime) -> Subscription:
    """What this person wants to hear of one incident. It goes before their rule."""
    if wish not in Wish.values:
        raise Invalid(f"wish must be one of {', '.join(Wish.values)}.", field="wish", allowed=Wish.values)
    with effect(incident):
        row, _ = Subscription.objects.update_or_create(
            person=person, incident=incident, defaults={"wish": wish, "changed_at": now}
        )
    return row


def follow_all(person: User, min_severity: str, *, now: datetime) -> Subscription | None:
    """The person's rule for all incidents from a severity upwards; empty: none, and nothing is returned."""
    if min_severity and min_severity not in SEVERITIES:
        allowed = list(SEVERITIES)
        raise Invalid(f"min_severity must be one of {', '.join(allowed)}.", field="min_severity", allowed=allowed)
    with effect():
        rule = Subscription.objects.filter(person=person, incident=None)
        if not min_severity:
            rule.delete()
            return None
        row, _ = rule.update_or_create(
            person=person, incident=None, defaults={"min_severity": min_severity, "changed_at": now}
        )
    return row


def end(subscription: Subscription) -> None:
    """As if it had never been made. Of one incident, the person's rule counts again."""
    with effect():
        Subscription.objects.filter(pk=subscription.pk).delete()


# --- Links in messages ---


def stop_token(person: User, incident_id: str | None) -> str:
    """Proves that a link came from a message to this person. It opens nothing but their own subscription."""
    return signing.dumps([person.pk, incident_id or ""], salt=_SALT, compress=True)


@dataclass(frozen=True, slots=True)
class Stop:
    """What a link in a message is about."""

    person: User
    incident: Incident | None


def read_stop_token(token: str) -> Stop:
    """Raises LinkIsBroken."""
    try:
        person_id, incident_id = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        raise LinkIsBroken from None
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise LinkIsBroken
    return Stop(person, Incident.objects.filter(pk=incident_id).first() if incident_id else None)


def stop(asked: Stop, wish: str, *, now: datetime) -> None:
    """What a link in a message does: less of this incident, or of all of them, never more."""
    if wish not in (Wish.LAST, Wish.NOTHING):
        raise Invalid("A link in a message can only stop messages.", field="wish")
    if asked.incident:
        follow(asked.incident, asked.person, wish, now=now)
    else:
        follow_all(asked.person, "", now=now)


# --- Reading ---


def wish_of(incident: Incident, person: User) -> str:
    """What the person hears of this incident: by their wish for it, else by their rule."""
    rows = Subscription.objects.filter(Q(incident=incident) | Q(incident=None), person=person)
    own = {row.incident_id: row for row in rows}
    if incident.pk in own:
        return str(own[incident.pk].wish)
    rule = own.get(None)
    return Wish.UPDATES if rule and is_at_least(incident.severity, rule.min_severity or "low") else ""


def hearers(incident: Incident, event: str) -> list[User]:
    """Who is told of it by e-mail: those who want to, still may, and, of its end, whoever heard of it before."""
    rows = list(Subscription.objects.filter(Q(incident=incident) | Q(incident=None)).values_list(
        "person", "incident", "wish", "min_severity"
    ))  # fmt: skip
    wishes = {person: wish for person, of, wish, _ in rows if of}
    by_rule = {person for person, of, _, least in rows if not of and least and is_at_least(incident.severity, least)}
    heard = set(_told("person", incident)) if event in LAST_WORDS else set()
    wanted = [
        person
        for person in wishes.keys() | by_rule | heard
        if told_of_incident(wishes.get(person), by_rule=person in by_rule, event=event, has_heard=person in heard)
    ]
    return _who_may(incident, User.objects.filter(pk__in=wanted, is_active=True).order_by("pk")) if wanted else []


def has_heard(incident: Incident) -> set[str]:
    """The endpoints that something about the incident was sent to."""
    return set(_told("endpoint", incident))


def _told(column: str, incident: Incident) -> Iterable[str]:
    of_incident = Delivery.objects.filter(notice__incident=incident).exclude(**{column: None}).order_by()
    return of_incident.exclude(state=DeliveryState.DROPPED).values_list(column, flat=True).distinct()


def _who_may(incident: Incident, people: Iterable[User]) -> list[User]:
    """Of these, those for whom the incident exists. Asked once for all who see alike: by role, unless named in it."""
    named = people_named(incident.pk)
    alike: dict[tuple[str, str], list[User]] = defaultdict(list)
    for person in people:
        alike[person.role, person.pk if person.pk in named else ""].append(person)
    return [person for group in alike.values() if may_hear(group[0], incident.pk) for person in group]


def may_hear(viewer: object, incident_id: str) -> bool:
    """Whether the incident exists for this viewer."""
    return visible(Incident.objects.order_by(), viewer).filter(pk=incident_id).exists()
