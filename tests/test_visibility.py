"""The registry of visibility: it knows every model, everything asks it, each of its rules is shown from both sides."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from accounts.models import User
from accounts.principals import Service
from accounts.visibility import Viewer
from incidents import actions
from incidents.errors import AlreadyOpen
from incidents.models import Incident, LearningReview, Participant, StatusUpdate, TeamPage, TimelineEvent
from incidents.viewing import PUBLISHED, check_may_edit
from kpis.compute import backfill
from kpis.models import KpiDefinition, KpiObservation
from majorops.lib.errors import DomainError
from majorops.lib.fields import Body, Shown
from majorops.lib.paging import FilterSet, NewestFirst
from majorops.lib.visibility import Undeclared, columns, readable, sight_of, visible
from teams.models import Membership, Team
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, StatusUpdateFactory, TeamPageFactory, TimelineEventFactory, at, stamp
from tests.test_architecture import Module, chain, modules

APPS = ("accounts", "teams", "incidents", "kpis", "majorops")
#: Django's own tables, and those of libraries. No door of ours shows them; the admin's log is for administrators.
NOT_OURS = {"admin", "auth", "contenttypes", "sessions", "django_tasks_database"}
#: Programs: what incidents:read alone, with internal, and with team scopes give.
READER = Service("01", "Reader", frozenset({"incidents:read"}))
INSIDER = Service("02", "Insider", frozenset({"incidents:read_internal", "incidents:write", "teams:read", "kpis:read"}))

pytestmark = pytest.mark.django_db


def ours() -> list[type[Model]]:
    return [model for model in apps.get_models() if model._meta.app_label not in NOT_OURS]


# --- It knows everything ---


@pytest.mark.parametrize("model", ours(), ids=lambda model: model.__name__)
def test_every_model_is_declared(model: type[Model]) -> None:
    """A new model is seen by nobody until somebody decides by whom it is."""
    assert sight_of(model)


def test_an_undeclared_model_is_refused() -> None:
    from django.contrib.sessions.models import Session

    with pytest.raises(Undeclared):
        visible(Session.objects.all(), None)


@pytest.mark.parametrize("model", ours(), ids=lambda model: model.__name__)
def test_declared_columns_exist_and_are_read_by_all_who_may_narrow_by_them(
    model: type[Model], mim: User, stakeholder: User, executive: User
) -> None:
    sight = sight_of(model)
    asked = sight.filters | sight.orders | sight.searches
    assert asked <= columns(model)
    everybody: list[Viewer] = [mim, READER, INSIDER] if model is Team else [mim, stakeholder, executive, READER]
    for viewer in everybody if model is not Team else [mim]:
        assert asked <= readable(model, viewer), f"{viewer} could ask for what they do not read"


def doors_of(base: type) -> Iterator[type]:
    """Our own classes on `base`, in the modules where doors keep them."""
    for app in ("accounts", "teams", "incidents", "kpis"):
        for part in ("api", "serializers", "filters"):
            try:
                module = import_module(f"{app}.{part}")
            except ModuleNotFoundError:
                continue
            for _, found in inspect.getmembers(module, inspect.isclass):
                if issubclass(found, base) and found.__module__ == module.__name__:
                    yield found


def test_filters_narrow_by_declared_columns_only() -> None:
    for found in doors_of(FilterSet):
        sight = sight_of(found.Meta.model)  # type: ignore[attr-defined]
        asked = {each.field_name.removesuffix("_id") for each in found.base_filters.values()}  # type: ignore[attr-defined]
        assert asked
        assert asked <= sight.filters | sight.searches, found


def test_lists_are_ordered_by_declared_columns_only() -> None:
    for view in doors_of(object):
        pagination = getattr(view, "pagination_class", None)
        model = getattr(getattr(view, "filterset_class", None), "Meta", None)
        if pagination and issubclass(pagination, NewestFirst) and model:
            ordered = {name.lstrip("-") for name in pagination.ordering}
            assert ordered <= sight_of(model.model).orders, view


#: Serializers and the model whose rows they show. Incidents drop at run time what their reader does not read.
SHOWN_MODELS = {
    "EntryShown": TimelineEvent,
    "UpdateShown": StatusUpdate,
    "MilestoneShown": apps.get_model("incidents", "Milestone"),
    "TeamPageShown": TeamPage,
    "ParticipantShown": Participant,
    "DefinitionShown": KpiDefinition,
    "ObservationShown": KpiObservation,
    "Figure": KpiObservation,
    "TeamShown": Team,
    "RevisionShown": apps.get_model("kpis", "KpiDefinitionVersion"),
}
BY_ROW = {
    "HereShown", "MetricsShown", "ProgramShown", "OfIncident", "AlertShown", "CommandShown", "IncidentShown",
    "IncidentDetail", "UserShown",
}  # fmt: skip


def test_serializers_show_readable_columns_only(mim: User) -> None:
    """Of rows that reach a reader of incidents, but for teams and claims' metadata, which have readers of their own."""
    from tests.factories import UserFactory

    lowest = UserFactory()
    for found in doors_of(Shown):
        if found.__name__ in BY_ROW or issubclass(found, Body):
            continue
        model = SHOWN_MODELS[found.__name__]
        viewer = mim if model in (Team, TeamPage) or found.__name__ == "ObservationShown" else lowest
        sources = {(field.source or name).split(".")[0] for name, field in found().fields.items()}  # type: ignore[attr-defined]
        named = {name.removesuffix("_id") for name in sources} & columns(model)
        assert named <= readable(model, viewer), found


# --- Everything asks it ---

RELATED = {
    "timeline", "updates", "milestones", "team_pages", "phase_entries", "role_assignments", "participants",
    "corrections", "observations", "kpi_observations", "versions", "runs", "memberships", "tokens",
}  # fmt: skip
DOORS = (
    "views", "api", "door", "log_api", "published_api", "called_api", "answers", "serializers", "filters", "board",
    "logbook", "reading", "viewing", "admin", "context",
    "team_pages", "readiness_api", "personal_pages", "personal_api", "personal_cli", "admin_personal",
    "dwell_pages", "histograms_pages", "milestone_page", "promises_page", "promises_api", "facts_api",
    "admin_facts", "review_page", "survey_page", "calendar_page", "links_page", "calendar", "similar",
    "afterwards", "review_api", "list_page", "declare_page", "log_page", "responder_page", "searches",
    "exports", "brief", "brief_page", "brief_api", "executive", "executive_page", "exec_summary_page",
    "executive_figures", "subscriptions_page", "webhooks_api", "admin_outbox", "alerts_page", "intake_api",
    "admin_intake", "alerts_cli", "status_read", "status_page", "status_json", "status_feed", "status_door",
)  # fmt: skip
#: What may build a queryset by itself, and why.
EXEMPT = {
    ("accounts.serializers", "User"): "reads input: the person a commander names",
    ("teams.serializers", "Team"): "reads input: the team a commander pages",
    ("majorops.views", "User"): "the who-are-you page of development mode",
    ("incidents.viewing", "Incident"): "the rule itself",
    ("incidents.viewing", "TeamPage"): "the rule itself",
    ("incidents.viewing", "Participant"): "the rule itself",
    ("incidents.viewing", "StatusUpdate"): "the rule itself: counted per audience",
    ("incidents.viewing", "memberships"): "asks about the viewer",
    ("majorops.context", "Membership"): "asks about the viewer",
    ("incidents.filters", "TeamPage"): "asked for readers of team response only (incidents/api.py)",
    ("incidents.logbook", "corrections"): "prefetched through visible()",
    ("incidents.exports", "corrections"): "prefetched through visible()",
    ("incidents.status_read", "TimelineEvent"): "moves of published incidents: they become four states, never shown",
    ("teams.admin", "Team"): "writes, after Django asked for the permission",
    ("kpis.packs.reading", "Subject"): "asks whether a source ever spoke, shows no row",
    ("kpis.packs.reading", "FactKind"): "asks whether a source ever spoke, shows no row",
    ("kpis.packs.reading", "Fact"): "asks whether a source ever spoke, shows no row",
    ("kpis.packs.reading", "Decision"): "asks whether a source ever spoke, shows no row",
    ("kpis.alerts.reading", "KpiObservation"): "replays a rule; what it shows, `standings` asks for",
    ("kpis.alerts.reading", "KpiDefinition"): "tries a rule in the admin, for administrators only",
    ("kpis.alerts_cli", "AlertRule"): "the operator at the machine",
    ("kpis.alerts_cli", "User"): "the operator at the machine names a person",
    ("accounts.admin", "GroupRole"): "asks about a right, for administrators only",
}


def bare_querysets(module: Module) -> Iterator[tuple[str, str]]:
    """(module, model or relation) of each queryset in a door that does not go through visible()."""
    guarded = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"visible", "getattr"}
        for inner in ast.walk(node)
    }
    names = {model.__name__ for model in ours()}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute) or id(node) in guarded:
            continue
        if node.attr == "objects" and (found := names & set(chain(node))) and not is_empty(node, module.tree):
            yield module.name, min(found)
        if node.attr in RELATED and isinstance(node.ctx, ast.Load) and node.attr != "updates":
            yield module.name, node.attr


def is_empty(manager: ast.Attribute, tree: ast.Module) -> bool:
    """`Model.objects.none()`: it only tells the schema what a list is of."""
    return any(
        isinstance(node, ast.Attribute) and node.value is manager and node.attr == "none" for node in ast.walk(tree)
    )


def is_door(module: str) -> bool:
    return (module.split(".")[-1] in DOORS or ".templatetags" in module) and "majorops.lib" not in module


def test_doors_build_no_queryset_of_their_own() -> None:
    doors = list(modules(is_door))
    found = {bare for module in doors for bare in bare_querysets(module)}
    assert not found - EXEMPT.keys()
    assert len(doors) > 20


@pytest.mark.parametrize(
    "source",
    [
        "rows = Incident.objects.filter(status='active')",
        "rows = incident.timeline.all()",
        "rows = visible(Incident.objects.all(), viewer) | Incident.objects.all()",
    ],
)
def test_a_planted_queryset_is_found(source: str) -> None:
    assert list(bare_querysets(Module.parse(source, "incidents.views")))


def test_a_guarded_queryset_is_not_reported() -> None:
    source = "rows = visible(incident.timeline.all(), viewer)\nempty = Incident.objects.none()"
    assert not list(bare_querysets(Module.parse(source, "incidents.views")))


def test_admin_shows_administrators_what_the_registry_shows_them(admin_user: User) -> None:
    for model, tool in admin.site._registry.items():
        if model._meta.app_label not in NOT_OURS:
            shown = {name for name in (*tool.list_display, *tool.search_fields) if name in columns(model)}
            assert shown <= readable(model, admin_user), tool


# --- Its rules: incidents ---


@pytest.fixture
def restricted(mim: User) -> Incident:
    return IncidentFactory(restricted=True, title="Leaked keys", publish_status=True)


def sees(viewer: Viewer, incident: Incident) -> bool:
    return visible(Incident.objects.all(), viewer).filter(pk=incident.pk).exists()


def test_restricted_incidents_exist_for_those_who_command(
    restricted: Incident, mim: User, admin_user: User, executive: User, stakeholder: User
) -> None:
    assert sees(mim, restricted)
    assert sees(admin_user, restricted)
    others: list[Viewer] = [executive, stakeholder, READER, INSIDER, None]
    assert not any(sees(viewer, restricted) for viewer in others)


def test_restricted_incidents_exist_for_who_is_named(restricted: Incident, engineer: User, executive: User) -> None:
    page = TeamPageFactory(incident=restricted)
    Membership.objects.create(team=page.team, user=engineer)
    Incident.objects.filter(pk=restricted.pk).update(leader=executive)
    assert sees(engineer, restricted)
    assert sees(executive, restricted)


def test_a_participant_of_a_restricted_incident_sees_it(restricted: Incident, stakeholder: User) -> None:
    Participant.objects.create(incident=restricted, user=stakeholder)
    assert sees(stakeholder, restricted)
    assert not sees(stakeholder, IncidentFactory(restricted=True))


def test_what_hangs_on_a_hidden_incident_is_hidden(restricted: Incident, stakeholder: User) -> None:
    TimelineEventFactory(incident=restricted, visibility="public")
    StatusUpdateFactory(incident=restricted, visibility="public")
    for model in (TimelineEvent, StatusUpdate, TeamPage):
        assert not visible(model.objects.all(), stakeholder).exists()


@pytest.mark.parametrize("viewer", [None, User(role=""), User(role="admin", is_active=False), User(role="boss")])
def test_somebody_unknown_sees_what_was_published(viewer: Viewer, db: None) -> None:
    shown, hidden = IncidentFactory(publish_status=True), IncidentFactory()
    assert sees(viewer, shown)
    assert not sees(viewer, hidden)
    assert readable(Incident, viewer, shown) == PUBLISHED
    for model in (User, Team, TimelineEvent, TeamPage, KpiDefinition, KpiObservation):
        assert not visible(model.objects.all(), viewer).exists()


@pytest.mark.parametrize(
    ("incident", "review", "count"),
    [
        ({}, {}, 1),
        ({}, {"state": "in_review"}, 0),
        ({}, {"public_text": ""}, 0),
        ({"publish_status": False}, {}, 0),
        ({"restricted": True}, {}, 0),
    ],
)
def test_somebody_unknown_reads_of_reviews_what_was_written_for_them(
    incident: dict[str, object], review: dict[str, object], count: int, mim: User
) -> None:
    about = IncidentFactory(
        **{"publish_status": True, "status": "resolved", "phase": 8, "resolved_at": NOON, **incident}
    )
    told = {"state": "published", "published_at": NOON, "owner": mim, "due_at": NOON, "public_text": "A disk failed."}
    LearningReview.objects.create(incident=about, **{**told, **review})
    assert visible(LearningReview.objects.all(), None).count() == count
    assert readable(LearningReview, None, about.review) == {"public_text", "published_at"}


def test_a_called_engineer_reads_that_log_only(engineer: User) -> None:
    own, other = TimelineEventFactory(), TimelineEventFactory()
    TeamPageFactory(incident=own.incident, user=engineer)
    assert list(visible(TimelineEvent.objects.all(), engineer)) == [own]
    assert "description" in readable(Incident, engineer, own.incident)
    assert "description" not in readable(Incident, engineer, other.incident)
    assert "description" not in readable(Incident, engineer)


def test_an_entry_without_an_audience_is_for_both(stakeholder: User) -> None:
    both = TimelineEventFactory(visibility=None)
    TimelineEventFactory(incident=both.incident, visibility="internal")
    assert list(visible(TimelineEvent.objects.all(), stakeholder)) == [both]


# --- Its rules: KPIs ---


def test_a_program_without_a_kpi_scope_sees_no_kpi(stakeholder: User) -> None:
    assert visible(KpiDefinition.objects.all(), stakeholder).exists()
    assert visible(KpiDefinition.objects.all(), INSIDER).exists()
    assert not visible(KpiDefinition.objects.all(), READER).exists()


def test_rollups_leave_restricted_incidents_out_and_their_samples_stay(mim: User, stakeholder: User) -> None:
    """Two readers see one number, and it does not move when a security incident ends."""
    for hidden in (False, True):
        IncidentFactory(closed=True, restricted=hidden)
    backfill(KpiDefinition.objects.get(slug="mttr"), as_of=at("2026-03-03T00:00"))
    figures = KpiObservation.objects.current().filter(kpi="mttr")
    assert figures.rollups().get(window="all", dims_key="").n == 1
    assert visible(figures.samples(), mim).count() == 2
    assert visible(figures.samples(), stakeholder).count() == 1


def test_restricting_an_incident_takes_it_out_of_the_next_rollup(mim: User) -> None:
    incident = IncidentFactory(closed=True)
    mttr = KpiDefinition.objects.get(slug="mttr")
    backfill(mttr, as_of=at("2026-03-03T00:00"))
    Incident.objects.filter(pk=incident.pk).update(restricted=True)
    backfill(mttr, as_of=at("2026-03-03T00:00"))
    assert KpiObservation.objects.current().samples().filter(kpi="mttr", incident=incident).count() == 1
    assert KpiObservation.objects.current().rollups().get(kpi="mttr", window="all", dims_key="").n == 0


def _figure(slug: str, **columns: object) -> KpiObservation:
    definition = KpiDefinition.objects.get(slug=slug)
    return KpiObservation.objects.create(**{
        "kpi": definition, "definition_version": definition.versions.get(), "subject_type": "org", "subject_id": "org",
        "subject_key": "org:org", "window": "all", "timestamp": NOON, "value": 5, "units": definition.units, "n": 3,
        "source": "cli", "result_sha256": "x", "created_at": NOON, **columns,
    })  # fmt: skip


def test_figures_of_a_team_need_three_values_for_executives(executive: User, stakeholder: User, mim: User) -> None:
    few = _figure("mttr", dims_key="severity=high;team=db", n=2)
    enough = _figure("mttr", dims_key="team=db", n=3)
    figures = KpiObservation.objects.all()
    assert set(visible(figures, executive)) == {enough}
    assert not visible(figures, stakeholder).exists()
    assert set(visible(figures, mim)) == {few, enough}


def test_figures_of_single_people_are_for_nobody(mim: User, admin_user: User, executive: User) -> None:
    _figure("engineer-response-time", n=500)
    assert not any(visible(KpiObservation.objects.all(), viewer).exists() for viewer in (mim, admin_user, executive))


# --- Its rules: who may say what to whom ---


@pytest.fixture
def called(engineer: User) -> Incident:
    """An incident that the engineer was called to."""
    return TeamPageFactory(user=engineer).incident


@pytest.mark.parametrize(("visibility", "status"), [("internal", 201), ("public", 403), (None, 403)])
def test_a_called_engineer_posts_internal_entries_only(
    client_as: Knock, engineer: User, called: Incident, visibility: str | None, status: int
) -> None:
    said = {"title": "Failover done", "visibility": visibility}
    answer = client_as(engineer).post(f"/api/v1/incidents/{called.pk}/timeline", said, "application/json")
    assert answer.status_code == status
    assert called.timeline.count() == (1 if status == 201 else 0)


def test_a_called_engineer_corrects_their_own_entries_only(client_as: Knock, engineer: User, called: Incident) -> None:
    own = TimelineEventFactory(incident=called, actor_user=engineer)
    others = TimelineEventFactory(incident=called)
    published = TimelineEventFactory(incident=called, actor_user=engineer, visibility="public")
    path = f"/api/v1/incidents/{called.pk}/timeline"
    answers = [
        client_as(engineer).post(f"{path}/{entry.pk}/correct", {"title": "x"}, "application/json").status_code
        for entry in (own, others, published)
    ]
    assert answers == [201, 403, 403]


def _edit(client: Client, incident: Incident, **changes: object) -> int:
    path, headers = f"/api/v1/incidents/{incident.pk}", {"If-Match": "*"}
    return client.patch(path, changes, "application/json", headers=headers).status_code


def test_a_mim_restricts_an_incident_and_it_is_gone_for_others(client_as: Knock, mim: User, stakeholder: User) -> None:
    incident = IncidentFactory()
    assert _edit(client_as(mim), incident, restricted=True) == 200
    assert client_as(stakeholder).get(f"/api/v1/incidents/{incident.pk}").status_code == 404
    assert incident.timeline.get().changes == {"restricted": [False, True]}


@pytest.mark.parametrize("changes", [{"restricted": True}, {"publish_status": True}, {"public_title": "Down"}])
def test_a_program_does_not_decide_who_knows_of_it(changes: dict[str, object]) -> None:
    with pytest.raises(DomainError):
        check_may_edit(INSIDER, changes)


def test_a_program_is_not_told_which_restricted_incident_has_its_alert() -> None:
    alert = {"title": "Leaked keys", "severity": "high", "alert_source": "siem", "dedup_key": "k"}
    actions.open_incident(**alert, restricted=True, stamp=stamp())
    with pytest.raises(AlreadyOpen) as refused:
        actions.open_incident(**alert, stamp=stamp())
    assert "Leaked" not in refused.value.message
    assert "incident_id" not in refused.value.details


def test_hidden_and_absent_are_refused_alike(client_as: Knock, restricted: Incident, stakeholder: User) -> None:
    headers = {"X-Request-Id": "the-same-for-both"}
    hidden, absent = (
        client_as(stakeholder).get(f"/api/v1/incidents/{pk}", headers=headers)
        for pk in (restricted.pk, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    )
    assert (hidden.status_code, hidden.content) == (404, absent.content)
