"""What programs told of the demo: a pipeline, services, the shops of the operators. Only facts; KPIs compute the rest.

The packs stand since sixty days. The pipeline's history was imported from further back, so that there is a before and
an after. Nobody sends facts about rights, keys or infrastructure: those KPIs are proposed, and say so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.models import User
from kpis.actions import Editor
from kpis.facts import decisions, ingest
from kpis.facts.decisions import Decided
from kpis.models import Fact
from kpis.packs import files, sessions
from kpis.packs.install import install
from majorops.lib.times import iso, to_millisecond

PACKS = ("engineering-impact", "operator-control-centre")
SENDER = "demo"
DAYS = 60
#: Of the pipeline, so far back.
IMPORTED_DAYS = 124
REPOS = ("storefront", "orders-api", "edge-config")
CORE, EDGE = ("checkout", "login", "orders"), ("edge-oslo", "edge-porto")
#: Each shop, and how many days ago an operator first looked after it.
SHOPS = {
    "nordlys.example": 60, "bluefern.example": 60, "casamoda.example": 26, "oakandiron.example": 23,
    "saltwater.example": 19, "teahouse.example": 15, "lindgren.example": 11, "papertown.example": 3,
}  # fmt: skip
#: New shops for which an operator decided something soon.
STARTED = ("casamoda.example", "saltwater.example", "teahouse.example", "lindgren.example")
#: The KPIs of the case study, which a quarter ago had a figure already.
TOLD_OF_BEFORE = ("deployment-success-rate", "mttr-auto", "manual-interventions")
#: Days ago, shop, page, visits against the week before in percent, hours until somebody decided (None: nobody did).
ANOMALIES = (
    (25.2, "nordlys.example", "/collections/winter", -41.0, 3.0),
    (21.6, "bluefern.example", "/pages/delivery", 118.0, 9.5),
    (17.3, "nordlys.example", "/products/wool-socks", -36.0, 21.0),
    (13.8, "casamoda.example", "/", -28.0, 40.0),
    (10.1, "teahouse.example", "/blogs/oolong", 74.0, 5.0),
    (6.4, "bluefern.example", "/collections/sale", -52.0, 2.0),
    (2.3, "casamoda.example", "/collections/linen", -33.0, None),
    (0.3, "nordlys.example", "/products/rain-jacket", 61.0, None),
)
Event = Mapping[str, object]


def load(cast: Mapping[str, User], now: datetime) -> int:
    """Installs the packs and stores what was told since. How many facts there are."""
    began = now - timedelta(days=DAYS)
    for slug in PACKS:
        install(files.pack(slug), Editor(cast["admin"], began), start=began.date())
    told = _Told(now, random.Random(13))  # noqa: S311
    report = ingest.append_events(enumerate(told.everything(cast), start=1), source=SENDER, now=now)
    if report.errors:
        raise ValueError(f"The demo told what is no fact: {report.errors[0].reason}")
    told.decided()
    _follow_up(cast["mim"], now)
    return report.inserted


def _follow_up(operator: User, now: datetime) -> None:
    """Most anomalies were answered, in the way that their page does it."""
    ids = {fact.payload["landing_page"]: fact.pk for fact in Fact.objects.filter(kind=sessions.ANOMALY)}
    for days, _, page, _, hours in ANOMALIES:
        if hours is not None:
            at = to_millisecond(now - timedelta(days=days) + timedelta(hours=hours))
            sessions.decide(
                ids[page],
                operator,
                action=sessions.ASSIGNED,
                note="The page is looked at by its author.",
                evidence_url="",
                request_id="",
                now=at,
            )


@dataclass(frozen=True, slots=True)
class _Told:
    """Events, the oldest first within each sort."""

    now: datetime
    dice: random.Random

    def everything(self, cast: Mapping[str, User]) -> Iterator[Event]:
        yield from self.pipeline()
        yield from self.failures()
        yield from self.chores()
        yield from self.coverage()
        yield from self.weaknesses()
        yield from self.health()
        yield from self.requests()
        yield from self.usage()
        yield from self.visits([cast["mim"], cast["deputy"]])
        yield from self.shops()
        yield from self.escalations()
        yield from self.anomalies()

    def event(self, kind: str, days_ago: float, *, minutes: float = 0, actor: str = "", **payload: object) -> Event:
        told = {"kind": kind, "occurredAt": self.at(days_ago, minutes), "payload": payload}
        return {**told, "actor": actor} if actor else told

    def at(self, days_ago: float, minutes: float = 0) -> str:
        moment = self.now - timedelta(days=days_ago) + timedelta(minutes=minutes)
        return str(iso(to_millisecond(min(moment, self.now))))

    # --- The pipeline ---

    def pipeline(self) -> Iterator[Event]:
        """A change on two of three days in each repository; fewer of them break since the programme began."""
        for day in range(IMPORTED_DAYS, 0, -1):
            for repo in REPOS:
                if self.dice.random() < 0.62:
                    yield from self.change(repo, day - self.dice.uniform(0.1, 0.9))

    def change(self, repo: str, days_ago: float) -> Iterator[Event]:
        """A branch of some commits, merged, built, deployed. The time is that of the merge."""
        commits = self.dice.randint(1, 4)
        begun = -self.dice.lognormvariate(4.3, 0.8)
        shas = [f"{self.dice.getrandbits(160):040x}" for _ in range(commits)]
        for place, sha in enumerate(shas):
            pushed = begun * (commits - place) / commits
            author = f"author-{self.dice.randrange(5)}"
            yield self.event("commit.pushed", days_ago, minutes=pushed, sha=sha, repo=repo, author=author)
            yield self.event(
                "code_contribution", days_ago, minutes=pushed, sha=sha, repo=repo, author=author,
                added=self.dice.randint(4, 190), deleted=self.dice.randint(0, 60), files=self.dice.randint(1, 9),
            )  # fmt: skip
        yield self.event("commit_day", days_ago, repo=repo, day=self.at(days_ago)[:10])
        yield self.event(
            "pr.merged", days_ago, pr=f"{repo}-{shas[-1][:7]}", repo=repo, sha=shas[-1], commits=commits,
            merged_at=self.at(days_ago), first_commit_at=self.at(days_ago, begun), reviewed=self.dice.random() < 0.9,
        )  # fmt: skip
        yield from self.built(repo, days_ago, shas[-1])
        yield from self.deployed(repo, days_ago, shas)

    def built(self, repo: str, days_ago: float, sha: str) -> Iterator[Event]:
        yield self.event(
            "ci.run", days_ago, minutes=6, run_id=f"run-{sha[:10]}", repo=repo, workflow="build", branch="main",
            sha=sha, conclusion="success" if self.dice.random() < 0.94 else "failure",
            duration=round(self.dice.uniform(190, 420)),
        )  # fmt: skip

    def deployed(self, repo: str, days_ago: float, shas: Sequence[str]) -> Iterator[Event]:
        sha, length = shas[-1], self.dice.uniform(3, 9)
        told: dict[str, Any] = {"deploy_id": f"d-{sha[:10]}", "repo": repo, "environment": "production"}
        is_well = self.dice.random() < (0.96 if days_ago < DAYS else 0.84)
        outcome = "success" if is_well else self.dice.choice(("failure", "rolled_back"))
        yield self.event("deploy_started", days_ago, minutes=8, **told, sha=sha)
        if is_well:
            for each in shas:
                yield self.event("deployed", days_ago, minutes=8 + length, **told, sha=each)
        yield self.event("deploy.finished", days_ago, minutes=8.2 + length, **told, sha=sha, outcome=outcome)

    def failures(self) -> Iterator[Event]:
        """What broke and was mended, by machine in a few minutes or by people in an hour or two."""
        for number in range(46):
            days_ago = IMPORTED_DAYS * (1 - number / 46)
            recovery = "auto" if self.dice.random() < (0.75 if days_ago < DAYS else 0.35) else "manual"
            usual = (6 if days_ago < DAYS else 19) if recovery == "auto" else 84
            told: dict[str, Any] = {"incident_ref": f"fail-{number}", "service": self.dice.choice((*CORE, *EDGE))}
            yield self.event("incident_detected", days_ago, **told, recovery=recovery)
            yield self.event("incident_resolved", days_ago, minutes=self.dice.lognormvariate(0, 0.3) * usual, **told)

    def chores(self) -> Iterator[Event]:
        """What people still do by hand, and what machines do since."""
        for days_ago in (122, 117, 111, 104, 98, 93, 88, 80, 71, 66, 57, 49, 41, 26, 21, 11):
            yield self.event("manual_intervention", days_ago, task="Restart a queue worker", service="orders")
        for number, task in enumerate(
            ("Restart of queue workers", "Roll-back", "Renewal of certificates", "Clean-up of previews",
             "Release notes", "Rotation of logs", "Seeding of test data")
        ):  # fmt: skip
            yield self.event("automation_added", 55 - 7 * number, task=task, previous_min=25.0 - number, new_min=1.0)
        for item, total in (("operator_scripts", 31), ("workflows", 18)):
            yield self.event("inventory.snapshot", 2, item=item, total=total)

    def coverage(self) -> Iterator[Event]:
        for day in range(DAYS, -1, -3):
            for place, repo in enumerate(REPOS):
                percent = round(71 + 4 * place - day * 0.12, 1)
                yield self.event("ci.coverage", day, minutes=-40, suite="unit", percent=percent, repo=repo)

    def weaknesses(self) -> Iterator[Event]:
        """Found by a scanner, and mended in some hours or days."""
        for number, hours in enumerate((9, 60, 20, 130, 15, 210, 44, 22, 90, 12)):
            days_ago = 58.0 - 5.5 * number
            told: dict[str, Any] = {"repo": REPOS[number % 3], "cve_id": f"CVE-2026-{41100 + 17 * number}"}
            severity = "critical" if number % 2 == 0 else "high"
            yield self.event("cve.disclosed", days_ago, **told, severity=severity)
            yield self.event("cve.patched", days_ago, minutes=hours * 60, **told)

    # --- Services ---

    def health(self) -> Iterator[Event]:
        """Every six hours of a month and a few days; the newest is two minutes old."""
        for turn in range(37 * 4, -1, -1):
            for service in (*CORE, *EDGE):
                is_core = service in CORE
                yield self.event(
                    "health_check", turn / 4, minutes=-2, service=service, tier="core" if is_core else "edge",
                    ok=self.dice.random() < (0.998 if is_core else 0.965),
                )  # fmt: skip

    def requests(self) -> Iterator[Event]:
        """A sample: one each hour of four weeks, and many of the last day."""
        for turn in range(28 * 24, 0, -1):
            yield self.request(turn / 24, status=500 if turn % 211 == 0 else 200)
        for turn in range(600, 0, -1):
            yield self.request(turn / 620, status=500 if turn == 400 else 200)

    def request(self, days_ago: float, *, status: int) -> Event:
        latency = round(self.dice.lognormvariate(3.6, 0.75), 1)
        service = self.dice.choice(CORE)
        return self.event("api_request", days_ago, service=service, path="/api/v1/orders", method="GET", status=status,
                          latency_ms=latency)  # fmt: skip

    def usage(self) -> Iterator[Event]:
        for turn in range(40 * 2, -1, -1):
            for service in CORE:
                yield self.event(
                    "resource_usage", turn / 2, minutes=-3, service=service,
                    memory_pct=round(self.dice.gauss(64, 7), 1), cpu_pct=round(self.dice.gauss(46, 9), 1),
                )  # fmt: skip
        yield self.event("oom_kill", 8.4, service="orders")

    # --- Shops ---

    def visits(self, operators: Sequence[User]) -> Iterator[Event]:
        for shop, first in SHOPS.items():
            for day in range(first, 0, -1):
                for _ in range(self.dice.choice((0, 1, 1, 2))) if day < first else (0,):
                    operator = self.dice.choice(operators).email
                    days_ago = day - self.dice.uniform(0.1, 0.9)
                    yield self.event(
                        sessions.OPENED, days_ago, actor=operator, shop_domain=shop, operator=operator, page="/pulse"
                    )

    def shops(self) -> Iterator[Event]:
        """What each shop says of itself every morning."""
        for shop, first in SHOPS.items():
            for day in range(min(first, 28), -1, -1):
                orders, stamp = self.dice.randint(40, 160), day + 0.05
                revenue = round(orders * self.dice.uniform(38, 61), 2)
                yield self.event(
                    "shopify.sales.summary", stamp, shop_domain=shop, orders=orders, revenue=revenue, period="P1D"
                )
                yield self.event(
                    "shopify.fulfillment.issues", stamp, shop_domain=shop, issues=self.dice.choice((0, 0, 1, 2, 3))
                )
                for sku in ("WOOL-42", "LINEN-07", "TEA-500"):
                    yield self.event(
                        "shopify.inventory.alerts", stamp, shop_domain=shop, sku=sku,
                        qty=float(self.dice.choice((3, 8, 14, 22, 40))), threshold=10.0,
                    )  # fmt: skip

    def escalations(self) -> Iterator[Event]:
        """Conversations that waited too long: seen when it happened, and again once somebody answered."""
        for conversation, shop, days_ago, waited in _waits():
            told: dict[str, Any] = {"conversation_id": conversation, "shop_domain": shop, "sla_minutes": 30.0}
            breached = self.at(days_ago)
            yield self.event("chatwoot.escalations", days_ago, **told, breached_at=breached, is_open=True)
            if waited is not None:
                again = waited + 5
                yield self.event(
                    "chatwoot.escalations", days_ago, minutes=again, **told, breached_at=breached, is_open=False
                )

    def decided(self) -> None:
        """What operators decided: the answers to customers, and the first steps for new shops."""
        for conversation, shop, days_ago, waited in _waits():
            if waited is not None:
                self.decision("chatwoot.reply.sent", shop, days_ago - waited / 1440, conversation_id=conversation)
        for shop in STARTED:
            self.decision("shop.setup.approved", shop, SHOPS[shop] - 2.4)

    def decision(self, action: str, shop: str, days_ago: float, **payload: object) -> None:
        at = to_millisecond(self.now - timedelta(days=days_ago))
        decided = Decided(
            scope=sessions.SCOPE,
            action=action,
            decided_at=at,
            subject_type="shop",
            subject_id=shop,
            payload={"shop_domain": shop, **payload},
        )
        decisions.record(decided, source=SENDER, now=at)

    def anomalies(self) -> Iterator[Event]:
        for days_ago, shop, page, delta, _ in ANOMALIES:
            yield self.event(sessions.ANOMALY, days_ago, shop_domain=shop, landing_page=page, wow_delta=delta)


def _waits() -> Iterator[tuple[str, str, float, float | None]]:
    """Conversation, shop, when its promise was broken, and the minutes until the reply; None: it still waits."""
    shops = ("nordlys.example", "bluefern.example")
    for number in range(16):
        waited = None if number >= 14 else 12.0 + 17 * (number * 5 % 9)
        yield f"conv-{3200 + number}", shops[number % 2], 27.5 - 1.7 * number, waited
