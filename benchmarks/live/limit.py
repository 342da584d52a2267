"""MajorOps with addresses of which PostgreSQL writes the whole answer with `json_agg`: the limit of a read.

`/limit/...` stands behind the same door as the API: same server, same middleware, same look at who asks.
`/bare/...` is the same view without any middleware, for whoever asks.
"""
# ruff: noqa: E402 - the routes are set before the handlers are made.

from __future__ import annotations

from typing import Any

from django.conf import settings

from majorops import asgi  # noqa: F401 - sets Django up

settings.ROOT_URLCONF = __name__

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from majorops.handler import Handler
from majorops.lib.ulid import hex_of
from majorops.stream import Streams

INCIDENT = """
    row.id, row.kind, row.title, row.description, row.severity, row.status, row.phase,
    row.phase_entered_at AS "phaseEnteredAt", row.detected_at AS "detectedAt", row.resolved_at AS "resolvedAt",
    row.affected_systems AS "affectedSystems", row.bridge_url AS "bridgeUrl",
    json_build_object('sre', row.sre, 'mim', mim.display_name, 'leader', leader.display_name,
        'serviceManager', manager.display_name, 'customerOps', ops.display_name) AS command,
    json_build_object('alertId', row.alert_id, 'customerCount', row.customer_count, 'issueTime', row.issue_time,
        'resolveTime', row.resolve_time, 'externalImpact', row.external_impact) AS alert,
    row.alert_source AS "alertSource", row.dedup_key AS "dedupKey",
    (SELECT count(*) FROM status_updates said WHERE said.incident_id = row.id) AS "updatesPosted",
    row.next_update_eta AS "nextUpdateEta", row.last_communicated_at AS "lastCommunicatedAt",
    row.business_impact AS "businessImpact", row.customer_impact_summary AS "customerImpactSummary",
    row.risk_level AS "riskLevel", row.exec_summary AS "execSummary", row.decision_asked AS "decisionAsked",
    row.audience_notes AS "audienceNotes", row.restricted, row.publish_status AS "publishStatus",
    row.public_title AS "publicTitle", row.public_id AS "publicId", opener.display_name AS "openedBy", row.version
"""
PEOPLE = """
    LEFT JOIN users mim ON mim.id = row.mim_id LEFT JOIN users leader ON leader.id = row.leader_id
    LEFT JOIN users manager ON manager.id = row.service_manager_id LEFT JOIN users ops ON ops.id = row.customer_ops_id
    LEFT JOIN users opener ON opener.id = row.opened_by_id
"""
LIST = f"""
    SELECT json_build_object('results', json_agg(shown))::text FROM (
        SELECT {INCIDENT} FROM (SELECT * FROM incidents ORDER BY detected_at DESC, id DESC LIMIT 51) row {PEOPLE}
        ORDER BY row.detected_at DESC, row.id DESC) shown
"""  # noqa: S608 - all of it stands here
DETAIL = f"""
    SELECT row_to_json(shown)::text FROM (SELECT {INCIDENT},
        (SELECT json_agg(line) FROM (
            SELECT id, type, title, description, actor, occurred_at AS timestamp, recorded_at AS "recordedAt",
                visibility, phase_number AS "phaseNumber", corrects_id AS corrects, undoes_id AS undoes, verb, changes,
                source
            FROM timeline_events WHERE incident_id = row.id ORDER BY occurred_at, id) line) AS timeline,
        (SELECT json_agg(line) FROM (
            SELECT id, content, visibility, author_name AS author, created_at AS timestamp, source
            FROM status_updates WHERE incident_id = row.id ORDER BY created_at, id) line) AS updates,
        (SELECT json_agg(line) FROM (
            SELECT id, sequence, title, body, status_at_cut AS "statusAtCut", next_update_eta AS "nextUpdateEta",
                no_promise_reason AS "noPromiseReason", cut_by_name AS "cutBy", created_at AS "cutAt",
                is_resolution AS "isResolution", (SELECT coalesce(json_agg(entry_id), '[]') FROM milestone_sources
                WHERE milestone_id = milestones.id) AS entries
            FROM milestones WHERE incident_id = row.id ORDER BY sequence) line) AS milestones
        FROM incidents row {PEOPLE} WHERE row.id = %s) shown
"""  # noqa: S608 - all of it stands here


def listed(request: HttpRequest) -> HttpResponse:
    return _written(LIST, [])


def detailed(request: HttpRequest, incident_id: str) -> HttpResponse:
    return _written(DETAIL, [hex_of(incident_id)])


def _written(sql: str, arguments: list[str]) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return HttpResponse(cursor.fetchone()[0], content_type="application/json")


LIMITS = [path("incidents", listed), path("incidents/<ulid:incident_id>", detailed)]
urlpatterns = [path("limit/", include(LIMITS)), path("bare/", include(LIMITS)), path("", include("majorops.urls"))]


def _bare() -> Handler:
    usual, settings.MIDDLEWARE = settings.MIDDLEWARE, []
    try:
        return Handler()
    finally:
        settings.MIDDLEWARE = usual


bare, full = _bare(), Streams(Handler())


async def application(scope: Any, receive: Any, send: Any) -> None:
    is_bare = scope["type"] == "http" and scope["path"].startswith("/bare/")
    await (bare if is_bare else full)(scope, receive, send)
