"""Tells as a fact that an operator opened a dashboard, and who follows up an anomaly as a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest

from accounts.models import User
from accounts.visibility import Viewer
from kpis.facts import decisions, ingest
from kpis.facts.decisions import Decided
from kpis.models import Decision, Fact, PackInstall
from majorops.lib.errors import DomainError
from majorops.lib.times import iso
from majorops.lib.visibility import visible

PACK = "operator-control-centre"
OPENED, ANOMALY = "dashboard.session.opened", "ga.sessions.anomaly"
SCOPE, ACTION = "ops", "seo.assignment."
ASSIGNED, DISMISSED = f"{ACTION}assigned", f"{ACTION}dismissed"
SOURCE = "majorops"
#: What pages call them.
ANSWERS = {ASSIGNED: "assigned", DISMISSED: "nothing to do"}
#: As in the formula of anomaly-response-rate.
IN_TIME = timedelta(hours=24)
#: Anomalies older than this are history.
LISTED = timedelta(days=28)
MOST = 200


class NoSuchAnomaly(DomainError):
    """There is no such anomaly any more."""

    code = "unknown_anomaly"
    status = 404


def session_opened(request: HttpRequest, person: User, now: datetime) -> bool:
    """One fact for a visit, with the operator's alias and the request's id; while the pack is installed and nobody
    switched it off. The same request told twice is one visit."""
    if not settings.MAJOROPS_SESSION_FACTS or not PackInstall.objects.filter(pack=PACK, retired_at=None).exists():
        return False
    shop = settings.MAJOROPS_SHOP_DOMAIN or request.get_host().partition(":")[0]
    request_id = str(getattr(request, "request_id", ""))[:80]
    event = {
        "kind": OPENED,
        "occurredAt": iso(now),
        "payload": {"shop_domain": shop, "operator": person.email, "page": request.path[:200]},
        "actor": person.email,
        "requestId": request_id,
        **({"key": f"session:{request_id}"} if request_id else {}),
    }
    _, is_new = ingest.append(event, source=SOURCE, now=now)
    return is_new


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A landing page with unusual visits, and what was decided about it since."""

    fact: Fact
    shop: str
    page: str
    delta: float | None
    decision: Decision | None

    @property
    def answered_in(self) -> timedelta | None:
        return self.decision.decided_at - self.fact.occurred_at if self.decision else None

    @property
    def is_late(self) -> bool:
        """Answered, and after the day that the response rate allows."""
        return self.answered_in is not None and self.answered_in > IN_TIME

    @property
    def answer(self) -> str:
        action = self.decision.action if self.decision else ""
        return ANSWERS.get(action, action.removeprefix(ACTION).replace(".", " "))


def anomalies(viewer: Viewer, now: datetime) -> list[Anomaly]:
    """The newest first. Two queries."""
    facts = visible(Fact.objects.standing().filter(kind=ANOMALY, occurred_at__gte=now - LISTED), viewer)
    made = visible(Decision.objects.filter(action__startswith=ACTION, decided_at__gte=now - LISTED), viewer)
    answers = list(made.order_by("decided_at", "id"))
    return [_anomaly(fact, answers) for fact in facts.order_by("-occurred_at", "-id")[:MOST]]


def _anomaly(fact: Fact, answers: Sequence[Decision]) -> Anomaly:
    shop, page = str(fact.payload.get("shop_domain", "")), str(fact.payload.get("landing_page", ""))
    about = [
        each
        for each in answers
        if each.payload.get("shop_domain") == shop
        and each.payload.get("landing_page") == page
        and each.decided_at >= fact.occurred_at
    ]
    delta = fact.payload.get("wow_delta")
    return Anomaly(fact, shop, page, float(delta) if isinstance(delta, int | float) else None, next(iter(about), None))


def decide(
    fact_id: str, viewer: User, *, action: str, note: str, evidence_url: str, request_id: str, now: datetime
) -> Decision:
    """Writes the decision about an anomaly. The same again is the same decision. Raises NoSuchAnomaly, Invalid."""
    fact = visible(Fact.objects.standing().filter(kind=ANOMALY), viewer).filter(pk=fact_id).first()
    if fact is None:
        raise NoSuchAnomaly
    found = _anomaly(fact, [])
    decided = Decided(
        scope=SCOPE,
        action=action,
        decided_at=now,
        subject_type="shop",
        subject_id=found.shop,
        actor=viewer.email,
        evidence_url=evidence_url,
        request_id=request_id[:80],
        key=f"{action}:{fact.pk}",
        payload={"shop_domain": found.shop, "landing_page": found.page, **({"note": note} if note else {})},
    )
    decision, _ = decisions.record(decided, source=SOURCE, now=now)
    return decision
