"""A small world of incidents, and secrets to plant in it: whoever may not read them must not notice them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import AuditEvent, GroupRole, Integration, ThrottleBucket, User
from accounts.roles import Role
from incidents import actions
from incidents.models import (
    Incident,
    LearningReview,
    Participant,
    RoleAssignment,
    StatusUpdate,
    TeamPage,
    TimelineEvent,
)
from kpis.compute import backfill
from kpis.models import KpiDefinition, KpiDefinitionVersion, KpiObservation
from majorops.lib.ulid import new_ulid
from teams.models import Membership, Team, TeamAlias
from tests.factories import NOON, IncidentFactory, PhaseEntryFactory, TeamFactory, UserFactory, at, stamp

#: Stands in every secret text. No answer to somebody who may not read secrets has it.
MARK = "Zq7SECRETx"
#: What the clock says while the world is looked at, and what the KPIs were computed up to.
NOW, AS_OF = NOON + timedelta(hours=2), at("2026-03-02T13:00")
ROLES = ("anonymous", "stakeholder", "executive", "mim", "admin", "engineer_called", "engineer_other", "service_read")

#: Columns of a visible incident that the role does not read (design section 4), with their secret values.
INTERNAL_COLUMNS: dict[str, Any] = {
    "description": f"{MARK} description",
    "alert_source": f"{MARK}-source",
    "alert_id": f"{MARK}-alert",
    "dedup_key": f"{MARK}-key",
    "issue_time": NOON - timedelta(minutes=7),
    "resolve_time": NOON + timedelta(minutes=50),
    "external_source": f"{MARK}-origin",
    "external_id": f"{MARK}-id",
    "metadata": {"payload": MARK},
    "version": 77,
    "created_at": NOON - timedelta(days=3),
    "public_title": f"{MARK} public title",
    "public_id": f"{MARK}0123456789abcdef",
}
IMPACT_COLUMNS: dict[str, Any] = {"customer_count": 987_654, "external_impact": "yes"}
EXECUTIVE_COLUMNS: dict[str, Any] = {
    "business_impact": f"{MARK} impact",
    "exec_summary": f"{MARK} summary",
    "decision_asked": f"{MARK} decision",
    "risk_level": "high",
}


@dataclass
class World:
    people: dict[str, User]
    #: The engineer was called to `own`; to `other` and `done` nobody of theirs was.
    own: Incident
    other: Incident
    done: Incident
    restricted_id: str = field(default_factory=new_ulid)
    token: str = ""

    def client(self, role: str, accept: str = "application/json") -> Client:
        headers = {"Accept": accept, "X-Request-Id": "the-same-in-both-worlds"}
        if role == "service_read":
            headers["Authorization"] = f"Bearer {self.token}"
        elif role != "anonymous":
            headers["Cf-Access-Authenticated-User-Email"] = self.people[role].email
        return Client(headers=headers)

    @property
    def samples(self) -> dict[str, list[str]]:
        """Arguments for routes, the telling ones first: what is there, what will be secret, what was never there."""
        entry = self.own.timeline.filter(visibility="public").values_list("pk", flat=True)[0]
        page = self.own.team_pages(manager="with_voided").values_list("pk", flat=True)[0]
        return {
            "incident_id": [self.own.pk, self.restricted_id, self.other.pk, ABSENT],
            "entry_id": [entry, ABSENT],
            "follow_up_id": [ABSENT],
            "link_id": [ABSENT],
            "token": ["nobody-signed-this"],
            "page_id": [page, ABSENT],
            "endpoint_id": [ABSENT],
            "delivery_id": [ABSENT],
            "alert_id": [ABSENT],
            "report_id": [ABSENT],
            "subscription_id": [ABSENT],
            "pack": ["operator-control-centre", "success-tracker", "never-there"],
            "fact_id": [ABSENT],
            "public_id": [self.own.public_id, "never-there"],
            "slug": ["mttr", "zq7-secret", "mtta", "team-page-to-bridge", "database", "never-there"],
            "app_label": ["incidents", "kpis"],
            "object_id": [self.own.pk],
            "step": ["review"],
            "content_type_id": ["1"],
            "url": ["never-there"],
            "form": ["openslo", "never-there"],
            "rest": ["never-there.json"],
            "token_id": ["zq7secret000"],
            "integration_id": [ABSENT],
            # A rollup that all may read, one of the called engineer's team, a sample, and one that never was.
            "observation_id": [*self._observations(), ABSENT],
            "name": ["stakeholder", "exec", "readiness", "never-there"],
            "key": ["mttr-critical", "stakeholder-satisfaction", "never-there"],
        }

    def _observations(self) -> list[str]:
        current = KpiObservation.objects.current()
        mttr = current.filter(kpi="mttr", dims_key="").order_by("window", "pk")
        rows = [*mttr.filter(window="all"), *current.filter(dims_key__contains="team=database"), *mttr.samples()]
        return [row.pk for row in rows][:3]


ABSENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def build(*, figures: bool = True) -> World:
    """People, two open incidents and a resolved one, with everything that all readers of incidents read."""
    people = {
        role: UserFactory(email=f"{role}@example.com", display_name=role, role=kind, last_seen_at=NOW)
        for role, kind in {
            "mim": Role.MIM,
            "admin": Role.ADMIN,
            "stakeholder": Role.STAKEHOLDER,
            "executive": Role.EXECUTIVE,
            "engineer_called": Role.STAKEHOLDER,
            "engineer_other": Role.STAKEHOLDER,
        }.items()
    }
    database = TeamFactory(slug="database", name="Database")
    Membership.objects.create(team=database, user=people["engineer_called"])
    own = _incident("Checkout is slow", people["mim"], 10, affected_systems=["Checkout"])
    actions.page_team(own, database, stamp=stamp(people["mim"], NOON + timedelta(minutes=20)))
    other = _incident("Search is slow", people["mim"], 0)
    done = _incident("Mail is slow", people["mim"], -90)
    actions.resolve(done, summary="Mail is fine.", stamp=stamp(people["mim"], NOON))
    for definition in KpiDefinition.objects.computable() if figures else ():
        backfill(definition, as_of=AS_OF)
    reader = Integration.objects.create(name="Reader", scopes=["incidents:read"])
    _, token = tokens.mint(reader, by=None, expires_at=timezone.now() + timedelta(days=9), now=timezone.now())
    return World(people, own, other, done, token=token)


def _incident(title: str, mim: User, minutes: int, **columns: Any) -> Incident:
    begins = NOON + timedelta(minutes=minutes)
    incident = actions.open_incident(title=title, severity="critical", stamp=stamp(mim, begins), **columns)
    told = stamp(mim, begins + timedelta(minutes=5))
    actions.post_update(incident, "We are looking into it.", visibility="public", stamp=told)
    actions.post_entry(incident, "Told the status page", visibility="public", stamp=told)
    actions.cut_milestone(incident, title="Known", body="It is known.", stamp=told, next_update_eta=NOW)
    return incident


def plant(world: World, role: str) -> None:
    """Everything that this role may not read, and nothing that it may."""
    _plant_restricted(world)
    # Rollups are computed anew, to the same moment: nothing of the restricted incident may be in them.
    for definition in KpiDefinition.objects.computable():
        backfill(definition, as_of=AS_OF)
    _plant_columns(world, role)
    _plant_reviews(world)
    network = TeamFactory(slug="zq7-secret", name=f"{MARK} team", on_call_contact=MARK)
    TeamAlias.objects.create(team=network, alias=f"{MARK} alias")
    Membership.objects.create(team=network, user=world.people["mim"])
    for incident in (world.other, world.done, *([] if role == "engineer_called" else [world.own])):
        # Executives read the class of a team that was called three times: to them it is a secret twice only.
        _plant_internal(incident, network, world.people["mim"], is_paged=role != "executive" or incident != world.done)
    _plant_kpis(world)
    AuditEvent.objects.create(action="user.change", actor_name=MARK, object_id=MARK)
    Integration.objects.create(name=MARK, scopes=["incidents:read_internal"])
    GroupRole.objects.create(group=MARK, role=Role.ADMIN, priority=1)
    ThrottleBucket.objects.all().delete()


def plant_inside(world: World) -> None:
    """Everything that the anonymous status page does not show, of published incidents too."""
    _plant_restricted(world)
    _plant_reviews(world)
    network = TeamFactory(slug="zq7-secret", name=f"{MARK} team", on_call_contact=MARK)
    inside = {
        "title": f"{MARK} title", "bridge_url": f"https://meet.example.com/{MARK}", "affected_systems": [MARK],
        "sre": MARK, "leader": world.people["admin"], "audience_notes": MARK, "customer_count": 987_654,
        "description": MARK, "metadata": {"payload": MARK}, "version": 77, "last_communicated_at": NOW,
        "created_at": NOON - timedelta(days=3), "phase_entered_at": NOON - timedelta(days=1), **EXECUTIVE_COLUMNS,
    }  # fmt: skip
    for incident in (world.own, world.other, world.done):
        Incident.objects.filter(pk=incident.pk).update(**inside)
        _plant_internal(incident, network, world.people["mim"], is_paged=True)
    unpublished = {"public_title": f"{MARK} public title", "customer_impact_summary": MARK, "severity": "critical"}
    Incident.objects.filter(pk=world.other.pk).update(**unpublished)
    told = stamp(world.people["mim"], NOON + timedelta(minutes=40))
    actions.post_update(world.other, f"{MARK} told stakeholders", visibility="public", stamp=told)
    actions.cut_milestone(world.other, title=MARK, body=MARK, stamp=told, next_update_eta=NOW)


def _plant_restricted(world: World) -> None:
    """A security incident, the newest and gravest there is, with a row in every table."""
    mim, begins = world.people["mim"], NOON + timedelta(minutes=30)
    incident = IncidentFactory(
        id=world.restricted_id, restricted=True, publish_status=True, title=f"{MARK} breach", detected_at=begins,
        mim=mim,
        customer_impact_summary=MARK, affected_systems=[MARK], bridge_url=f"https://meet.example.com/{MARK}",
        issue_time=begins - timedelta(minutes=5), **EXECUTIVE_COLUMNS,
    )  # fmt: skip
    told = stamp(mim, begins + timedelta(minutes=3))
    actions.advance_phase(incident, 2, stamp=told)
    actions.post_update(incident, f"{MARK} update", visibility="public", stamp=told)
    actions.post_entry(incident, f"{MARK} entry", visibility="public", stamp=told)
    actions.cut_milestone(incident, title=MARK, body=MARK, stamp=told, next_update_eta=NOW - timedelta(minutes=5))
    security = TeamFactory(slug="zq7-security", name=f"{MARK} security")
    page = actions.page_team(incident, security, stamp=told)
    actions.record_arrival(incident, page, stamp=stamp(mim, begins + timedelta(minutes=9)))
    Participant.objects.create(incident=incident, user=mim)
    actions.resolve(incident, summary=f"{MARK} over", stamp=stamp(mim, begins + timedelta(minutes=10)))
    RoleAssignment.objects.create(incident=incident, role="mim", user=mim, name=MARK, assumed_at=begins)


def _plant_reviews(world: World) -> None:
    """Words for the public where nobody reads them: of a review that is not published, and of a secret incident."""
    mim = world.people["mim"]
    secret = {"sections": [{"key": "summary", "title": MARK, "text": MARK, "required": True}], "public_text": MARK}
    rows = LearningReview.objects.filter
    assert rows(incident=world.done).update(state="in_review", owner=mim, version=7, **secret)
    assert rows(incident=world.restricted_id).update(state="published", owner=mim, published_at=NOW, **secret)


def _plant_columns(world: World, role: str) -> None:
    """Secret values in columns of incidents that the role sees otherwise."""
    secret = INTERNAL_COLUMNS if role == "executive" else INTERNAL_COLUMNS | IMPACT_COLUMNS | EXECUTIVE_COLUMNS
    for number, incident in enumerate((world.own, world.other, world.done)):
        columns = secret
        if role == "engineer_called" and incident == world.own:
            columns = EXECUTIVE_COLUMNS
        # What is unique in the database stays so.
        unique = {"dedup_key", "external_id", "public_id"} & columns.keys()
        own = {name: f"{columns[name][:30]}{number}" for name in unique}
        Incident.objects.filter(pk=incident.pk).update(**{**columns, **own})


def _plant_internal(incident: Incident, team: Team, mim: User, *, is_paged: bool) -> None:
    when = incident.detected_at + timedelta(minutes=21)
    common = {"incident": incident, "recorded_at": when, "source": "web"}
    entry = TimelineEvent.objects.create(
        **common, type="action", title=f"{MARK} entry", description=MARK, actor=MARK, occurred_at=when,
        visibility="internal", changes={"exec_summary": ["", MARK]},
    )  # fmt: skip
    public = incident.timeline.filter(visibility="public").first()
    for corrects in (entry, public):
        TimelineEvent.objects.create(
            **common, type="action", title=f"{MARK} correction", actor=MARK, occurred_at=when, visibility="internal",
            corrects=corrects,
        )  # fmt: skip
    StatusUpdate.objects.create(
        **common, content=f"{MARK} update", visibility="internal", author_name=MARK, created_at=when
    )
    PhaseEntryFactory(incident=incident, phase_number=2, entered_at=when, reason=MARK, event__title=f"{MARK} phase")
    if is_paged:
        TeamPage.objects.create(
            incident=incident, team=team, paged_at=when, arrived_at=when + timedelta(minutes=4), contact_name=MARK,
            user=mim, arrival_source="observed", alarm_level="box3",
        )  # fmt: skip
    Participant.objects.create(incident=incident, user=mim)


def _plant_kpis(world: World) -> None:
    hidden = KpiDefinition.objects.create(
        slug="zq7-secret", name=f"{MARK} KPI", description=MARK, formula=MARK, units="minutes", owner=MARK
    )
    draft = KpiDefinition.objects.create(
        slug="zq7-draft", name=MARK, description=MARK, formula=MARK, units="minutes", owner=MARK, status="draft",
        visibility="exec", stakeholder_visible=True,
    )  # fmt: skip
    shown, personal = (KpiDefinition.objects.get(slug=slug) for slug in ("mttr", "engineer-response-time"))
    version = KpiDefinitionVersion.objects.create(
        definition=shown, version=99, formula=MARK, spec=None, spec_sha256="", units="minutes", changed_at=NOON,
        reason=MARK, snapshot={"visibility": "internal", "stakeholder_visible": False, "name": MARK},
    )  # fmt: skip
    for definition in (hidden, draft, personal):
        _observe(definition, version, world.own, f"incident:{world.own.pk}")
        _observe(definition, version, None, "org:org", window="all")
    page = world.other.team_pages.first()
    _observe(shown, version, world.other, f"team_page:{page.pk}" if page else "team_page:x")
    _observe(shown, version, None, "org:org", window="all", dims_key="team=zq7-secret", dims={"team": MARK}, n=2)


def _observe(
    definition: KpiDefinition, version: KpiDefinitionVersion, incident: Incident | None, subject: str, **columns: Any
) -> None:
    kind, _, key = subject.partition(":")
    KpiObservation.objects.create(**{
        "kpi": definition, "definition_version": version, "incident": incident, "subject_type": kind,
        "subject_id": key, "subject_key": subject, "timestamp": AS_OF + timedelta(minutes=1),
        "value": 424242.0, "units": "minutes", "n": 9,
        "source": "api", "result_sha256": MARK, "created_at": AS_OF, "evidence": "verified",
        "metadata": {"claimedBy": MARK}, **columns,
    })  # fmt: skip
