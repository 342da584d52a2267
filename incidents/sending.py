"""How sending stands, as the board shows it: one word per dispatch, and a mark that changes when a word does."""

from __future__ import annotations

from django.db.models import Case, Expression, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from incidents.models import Delivery, DeliveryState
from majorops.lib.visibility import visible

#: What matters first, of a dispatch that goes to several addresses.
ORDER = (DeliveryState.FAILED, DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.DROPPED)
WORDS: dict[str, str] = {
    DeliveryState.FAILED: "message not sent",
    DeliveryState.WAITING: "sending message",
    DeliveryState.SENT: "message sent",
}


def _seen(viewer: object) -> QuerySet[Delivery]:
    return visible(Delivery.objects.order_by(), viewer)


def state_of_page(viewer: object) -> Subquery:
    """For a queryset of dispatches: the state of sending their latest call; None if nothing is sent."""
    urgency = Case(*(When(state=state, then=Value(place)) for place, state in enumerate(ORDER)))
    latest = _seen(viewer).filter(page=OuterRef("pk"), call=OuterRef("page_count"), redelivered=None)
    return Subquery(latest.order_by(urgency).values("state")[:1])


def mark_of_incident(viewer: object) -> Expression:
    """For a queryset of incidents: a number that changes whenever a word on the board may have changed."""
    is_over = Case(When(state=DeliveryState.WAITING, then=Value(1)), default=Value(2), output_field=IntegerField())
    rows = _seen(viewer).filter(page__incident=OuterRef("pk")).values("page__incident")
    return Coalesce(Subquery(rows.annotate(mark=Sum(is_over + Value(0))).values("mark")), Value(0))
