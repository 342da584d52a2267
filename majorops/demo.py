"""The demo: a quarter of history, and one incident that is going on right now.

Everything is done through the same actions that people use, at times of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import User
from accounts.roles import Role
from incidents import actions, outbox, signals
from incidents.actions import Stamp
from incidents.lifecycle import CommandRole, EventType, Phase, Severity, Visibility
from incidents.models import ArrivalSource, Incident, Source
from kpis.compute import backfill, nightly
from kpis.histograms import rebuild
from kpis.models import KpiDefinition, KpiVisibility
from kpis.reports.kinds import Kind
from majorops import demo_facts, demo_watch
from majorops.demo_learning import Aftermath
from majorops.lib.times import to_millisecond
from teams.models import Membership, Team, TeamAlias

PEOPLE = [
    ("mim@example.com", "R. Okafor", Role.MIM),
    ("deputy@example.com", "N. Ferrari", Role.MIM),
    ("stakeholder@example.com", "J. Prieto", Role.STAKEHOLDER),
    ("executive@example.com", "M. Haddad", Role.EXECUTIVE),
    ("admin@example.com", "S. Lindqvist", Role.ADMIN),
    ("engineer@example.com", "A. Kim", Role.STAKEHOLDER),
]

#: slug, name, rated box, contact, alias, usual minutes to acknowledge and to the bridge.
TEAMS = [
    ("database", "Database", "box3", "DBA on-call", "dba", 1.0, 3.6),
    ("network", "Network", "box3", "NOC shift lead", "noc", 2.2, 7.5),
    ("payments", "Payments", "box3", "Payments on-call", "checkout", 1.4, 4.4),
    ("platform", "Platform", "box2", "Platform on-call", "kubernetes", 2.6, 7.0),
    ("security", "Security", "box2", "SOC duty officer", "soc", 3.0, 9.5),
    ("search", "Search", "box1", "Search on-call", "relevance", 5.0, 14.0),
]

#: So many Mondays have figures for executives, for the report and the curves.
WEEKS = 3


@dataclass(frozen=True, slots=True)
class Story:
    """One past incident: how long ago, how bad, how long, who was called."""

    days_ago: float
    severity: Severity
    minutes: int
    title: str
    systems: tuple[str, ...]
    teams: tuple[str, ...]
    customers: int | None
    impact: str


#: Who is called at each severity besides the teams of the story.
ALWAYS_CALLED = {
    Severity.CRITICAL: ("database", "network", "platform"),
    Severity.HIGH: ("platform", "security"),
    Severity.MEDIUM: ("search", "platform"),
}

C, H, M = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM
STORIES = [
    Story(86, H, 210, "Order exports delayed", ("Exports",), ("platform",), 85, "Exports arrive hours late."),
    Story(
        81,
        C,
        142,
        "Login fails for half of the users",
        ("Login", "API"),
        ("platform", "security"),
        5200,
        "Half of all sign-ins fail.",
    ),
    Story(77, M, 320, "Search misses new articles", ("Search",), ("search",), None, "New articles cannot be found."),
    Story(
        72,
        H,
        95,
        "Card payments slow in the Nordics",
        ("Payments",),
        ("payments", "network"),
        640,
        "Payments take up to 40 seconds.",
    ),
    Story(
        66,
        C,
        178,
        "prod-west-db-02 out of connections",
        ("Checkout", "Orders"),
        ("database", "platform"),
        3100,
        "Orders cannot be placed in region West.",
    ),
    Story(
        61,
        H,
        260,
        "Packet loss between regions",
        ("Network",),
        ("network",),
        900,
        "Pages load slowly for some customers.",
    ),
    Story(
        55,
        C,
        88,
        "Checkout returns errors after release",
        ("Checkout",),
        ("payments", "platform"),
        2400,
        "One in five checkouts fails.",
    ),
    Story(50, H, 130, "Webhooks not delivered", ("Webhooks",), ("platform",), 210, "Partners receive no events."),
    Story(
        47, M, 175, "Help centre shows old prices", ("Help",), ("search",), None, "Prices in articles are a week old."
    ),
    Story(44, M, 240, "Recommendations empty", ("Search",), ("search",), None, "Recommendations are missing."),
    Story(
        39,
        C,
        111,
        "API rejects all tokens of one tenant",
        ("API",),
        ("security", "platform"),
        1800,
        "One large customer is locked out.",
    ),
    Story(
        33,
        H,
        175,
        "Reporting database behind by hours",
        ("Reports",),
        ("database",),
        60,
        "Reports show yesterday's figures.",
    ),
    Story(
        27,
        C,
        134,
        "Edge certificates expired in two cities",
        ("Edge", "Login"),
        ("network", "security"),
        4100,
        "Browsers warn and refuse to load.",
    ),
    Story(22, H, 84, "Refunds stuck in the queue", ("Payments",), ("payments",), 320, "Refunds are paid out late."),
    Story(
        17,
        C,
        97,
        "Primary database failover took too long",
        ("Checkout", "Orders", "Login"),
        ("database", "network"),
        6200,
        "The shop was down for half an hour.",
    ),
    Story(19, M, 205, "Filters of the catalogue do nothing", ("Search",), ("search",), None, "Filters are ignored."),
    Story(12, M, 150, "Autocomplete slow", ("Search",), ("search",), None, "Suggestions appear late."),
    Story(
        7,
        H,
        118,
        "Invoices sent twice",
        ("Billing",),
        ("payments", "platform"),
        450,
        "Some customers got two invoices.",
    ),
    Story(
        3,
        C,
        76,
        "DNS resolver answers with old records",
        ("Network", "API"),
        ("network",),
        2700,
        "Some customers cannot reach us.",
    ),
]


def load(now: datetime) -> str:
    """Fills an empty database. One sentence says what was done."""
    existing = Incident.objects.count()
    if existing:
        return f"{existing} incidents are there already, so the demo is not loaded again."
    now = to_millisecond(now)
    cast = _people()
    teams = _teams(cast)
    dice = random.Random(11)  # noqa: S311 - the same demo every time
    with outbox.quiet(), signals.muted():
        _history(cast, teams, dice, now)
    _live(cast, teams, now)
    with transaction.atomic():
        told = demo_facts.load(cast, now)
        demo_watch.alerts_wait(cast, now)
        _figures(now)
        demo_watch.rules(cast, now)
        backfill(KpiDefinition.objects.get(pk="alert-acknowledgement-time"), as_of=now)
        demo_watch.reports(cast, now)
    rebuild(now.date())
    return (
        f"Demo loaded: {len(STORIES)} past incidents, one live, {len(teams)} teams, {len(cast)} people, "
        f"{told} facts, {KpiDefinition.objects.computable().count()} KPIs."
    )


def _figures(now: datetime) -> None:
    """Every KPI as of now and of last night; what the reports and the rules compare with, of earlier moments too."""
    last_monday = Kind.WEEKLY_EXECUTIVE.period(now)[1]
    mondays = [last_monday - timedelta(weeks=back) for back in range(WEEKS)]
    of_the_report = mondays[:2]
    quarter = now - timedelta(days=90)
    for definition in KpiDefinition.objects.computable():
        if definition.slug in demo_facts.TOLD_OF_BEFORE:
            backfill(definition, as_of=quarter, start=quarter)
        if definition.visibility == KpiVisibility.EXEC:
            keeps_samples = (definition.spec or {}).get("subject") is not None  # their curves are made of those
            for monday in of_the_report if keeps_samples else mondays:
                backfill(definition, as_of=monday, start=monday)
        nightly(definition, now=now, days=demo_watch.NIGHTS if definition.slug in demo_watch.WATCHED else 1)
        backfill(definition, as_of=now)


def _history(cast: dict[str, User], teams: dict[str, Team], dice: random.Random, now: datetime) -> None:
    aftermath = Aftermath(cast, random.Random(12))  # noqa: S311
    told = [_Past(story, cast, teams, dice, now, aftermath).tell() for story in STORIES]
    for place, incident in enumerate(told):
        aftermath.follow(incident, place, is_recent=place >= len(told) - 2)
    aftermath.duplicate(told[13], told[4], "The same database, and again too few connections.")


def _people() -> dict[str, User]:
    cast = {}
    for email, name, role in PEOPLE:
        person = User.objects.filter(email=email).first()
        cast[email.partition("@")[0]] = person or User.objects.create_user(email, display_name=name, role=role)
    return cast


def _teams(cast: dict[str, User]) -> dict[str, Team]:
    teams = {}
    for slug, name, box, contact, alias, *_ in TEAMS:
        teams[slug] = Team.objects.create(slug=slug, name=name, rated_box=box, on_call_contact=contact)
        TeamAlias.objects.create(team=teams[slug], alias=alias)
    Membership.objects.create(team=teams["database"], user=cast["engineer"])
    return teams


class _Past:
    """Tells one past incident, step by step, as it would have been commanded."""

    def __init__(
        self,
        story: Story,
        cast: dict[str, User],
        teams: dict[str, Team],
        dice: random.Random,
        now: datetime,
        aftermath: Aftermath,
    ) -> None:
        self.story, self.cast, self.teams, self.dice, self.aftermath = story, cast, teams, dice, aftermath
        self.mim = cast[dice.choice(["mim", "deputy"])]
        hour = dice.uniform(0, 20)
        self.start = to_millisecond(now - timedelta(days=story.days_ago, hours=hour))

    def stamp(self, minutes: float, by: User | None = None) -> Stamp:
        at = to_millisecond(self.start + timedelta(minutes=minutes))
        return Stamp(by=by or self.mim, at=at, now=at, source=Source.WEB)

    def tell(self) -> Incident:
        self.incident = actions.open_incident(
            title=self.story.title,
            severity=self.story.severity,
            stamp=self.stamp(0),
            affected_systems=list(self.story.systems),
            customer_count=self.story.customers,
            customer_impact_summary=self.story.impact,
            external_impact="yes" if self.story.customers else "no",
            issue_time=self.stamp(-self.dice.uniform(0.5, 4)).at,
            alert_id=f"Q{self.dice.randrange(10**9):09d}",
            bridge_url="https://meet.example.com/bridge-1",
        )
        self._command()
        self._page()
        self._phases()
        self._updates()
        self.aftermath.readers(self.incident, self.stamp(self.story.minutes * 0.5))
        return actions.resolve(
            self.incident, summary=f"{self.story.title}: solved.", stamp=self.stamp(self.story.minutes)
        )

    def _command(self) -> None:
        actions.assign_role(self.incident, CommandRole.MIM, user=self.mim, stamp=self.stamp(1))
        actions.assign_role(self.incident, CommandRole.SRE, name="on-call SRE", stamp=self.stamp(3))

    def _page(self) -> None:
        usual = {slug: (ack, bridge) for slug, _, _, _, _, ack, bridge in TEAMS}
        for slug in dict.fromkeys(self.story.teams + ALWAYS_CALLED[self.story.severity]):
            ack, bridge = usual[slug]
            page = actions.page_team(self.incident, self.teams[slug], stamp=self.stamp(2))
            answered = self.dice.lognormvariate(0, 0.35) * ack
            if self.dice.random() < 0.85:
                actions.acknowledge_page(self.incident, page, stamp=self.stamp(2 + answered))
            if self.dice.random() < 0.93:
                arrived = 2 + max(answered, self.dice.lognormvariate(0, 0.4) * bridge)
                actions.record_arrival(self.incident, page, stamp=self.stamp(arrived))

    def _phases(self) -> None:
        length = self.story.minutes
        gather = self.dice.uniform(1.5, 9)
        for phase, at in [
            (Phase.GATHER, gather),
            (Phase.ASSESS, max(gather + 1, length * 0.15)),
            (Phase.INITIAL, max(gather + 2, length * 0.25)),
            (Phase.ISOLATION, length * 0.5),
            (Phase.MITIGATION, length * 0.65),
            (Phase.VALIDATION, length * 0.9),
        ]:
            actions.advance_phase(self.incident, phase, stamp=self.stamp(at))

    def _updates(self) -> None:
        """A milestone every half hour, now and then a little late: the promise ledger should have something to say."""
        length, at = self.story.minutes, self.story.minutes * 0.25 + 1
        while at < length * 0.92:
            promise = self.stamp(at + 30).at
            actions.cut_milestone(
                self.incident,
                title="Work continues" if at > length * 0.5 else "We are on it",
                body=f"{self.story.impact} The teams are working on it.",
                stamp=self.stamp(at),
                next_update_eta=promise,
            )
            at += 30 + (self.dice.uniform(1, 6) if self.dice.random() < 0.14 else -self.dice.uniform(0, 4))


@dataclass(frozen=True, slots=True)
class _Ago:
    """Stamps so many minutes ago, by the MIM unless told otherwise."""

    now: datetime
    mim: User

    def __call__(self, minutes: float, by: User | None = None, *, written: float | None = None) -> Stamp:
        at = to_millisecond(self.now - timedelta(minutes=minutes))
        recorded = at if written is None else to_millisecond(self.now - timedelta(minutes=written))
        return Stamp(by=by or self.mim, at=at, now=recorded, source=Source.WEB)


def _live(cast: dict[str, User], teams: dict[str, Team], now: datetime) -> None:
    """Forty-one minutes into a critical incident, the next update due in a few."""
    engineer, stamp = cast["engineer"], _Ago(now, cast["mim"])
    incident = actions.open_incident(
        title="prod-west-db-01 unreachable",
        severity=Severity.CRITICAL,
        stamp=stamp(41),
        description="The primary of region West does not answer. Checkout and orders fail for customers routed there.",
        affected_systems=["Checkout", "Orders", "prod-west-db-01"],
        customer_count=1240,
        external_impact="yes",
        issue_time=stamp(44).at,
        alert_id="Q1X7ZK2M90AB",
        alert_source="pagerduty",
        dedup_key="prod-west-db-01/unreachable",
        bridge_url="https://meet.example.com/bridge-1",
        business_impact="Checkout is down in region West: about 18 % of revenue while it lasts.",
        customer_impact_summary="Customers in region West cannot complete an order.",
        risk_level="high",
    )
    _live_response(incident, stamp, engineer, teams)
    _live_words(incident, stamp, engineer)


def _live_response(incident: Incident, stamp: _Ago, engineer: User, teams: dict[str, Team]) -> None:
    actions.assign_role(incident, CommandRole.MIM, user=stamp.mim, stamp=stamp(40))
    actions.assign_role(incident, CommandRole.SRE, name="T. Moreau", stamp=stamp(36))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(37))
    database = actions.page_team(incident, teams["database"], stamp=stamp(38), contact_name="A. Kim (on-call)")
    network = actions.page_team(incident, teams["network"], stamp=stamp(35))
    actions.acknowledge_page(incident, database, stamp=stamp(36.8, engineer))
    actions.record_arrival(incident, database, stamp=stamp(34.5, engineer), arrival_source=ArrivalSource.SELF)
    actions.acknowledge_page(incident, network, stamp=stamp(31))
    actions.record_arrival(incident, network, stamp=stamp(26))
    actions.advance_phase(incident, Phase.ASSESS, stamp=stamp(30))
    actions.advance_phase(incident, Phase.GATHER, stamp=stamp(27), reason="A second replica lags: storage is suspected")
    actions.advance_phase(incident, Phase.ASSESS, stamp=stamp(24))
    actions.advance_phase(incident, Phase.INITIAL, stamp=stamp(21))
    actions.page_team(incident, teams["payments"], stamp=stamp(3.2))


def _live_words(incident: Incident, stamp: _Ago, engineer: User) -> None:
    lag = actions.post_entry(incident, "Replica lag on west-02 is 900 s", stamp=stamp(29, engineer))
    actions.correct_entry(
        incident, lag, title="Replica lag on west-02 is 90 s, read in the wrong unit", stamp=stamp(25, engineer)
    )
    actions.post_entry(incident, "Connection refused on 5432 from all app hosts", type=EventType.ALERT, stamp=stamp(40))
    actions.post_update(
        incident,
        "Storage array reports a failed controller. Vendor ticket opened.",
        visibility=Visibility.INTERNAL,
        stamp=stamp(23),
    )
    actions.cut_milestone(
        incident,
        title="We are on it",
        body="Customers in region West have not been able to order for 44 minutes. The primary database is at "
        "fault; we are preparing to move traffic to the standby.",
        stamp=stamp(20),
        next_update_eta=stamp(-4).at,
    )
    actions.post_update(
        incident,
        "Orders in region West still fail. Baskets are kept; nothing is charged twice.",
        visibility=Visibility.PUBLIC,
        stamp=stamp(12),
    )
    actions.post_entry(incident, "Failover to west-02 started", stamp=stamp(9, engineer, written=3))
