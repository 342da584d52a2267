"""RULES: what webhooks of other systems tell, as events. An adapter takes a payload and stores nothing.

Nothing it does not understand becomes a fact: a payload that tells of something else gives none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from majorops.lib.errors import Invalid

Payload = Mapping[str, Any]
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Adapter:
    """`read(payload, event)`: `event` is what the sender's header calls it, or empty."""

    name: str
    read: Callable[[Payload, str], Iterator[Event | Invalid]]
    #: The header that names the event, and the one that has the HMAC-SHA256 of the body.
    event_header: str = ""
    signature_header: str = ""


class NotUnderstood(Invalid):
    """This payload is not what the adapter expects."""

    code = "payload_not_understood"


def events(adapter: Adapter, payload: object, event: str = "") -> list[Event | Invalid]:
    """What the payload tells, or of one thing in it why it is not understood. Raises NotUnderstood for the whole."""
    if not isinstance(payload, Mapping):
        raise NotUnderstood(f"A webhook of {adapter.name} is a JSON object.")
    try:
        return [each if isinstance(each, Invalid) else _tidy(each) for each in adapter.read(payload, event)]
    except _OTHER_FORMS as error:
        raise _not_understood(error, adapter.name) from None


#: What reading a payload raises where it has another form.
_OTHER_FORMS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def _not_understood(error: Exception, sender: str) -> NotUnderstood:
    told = f"The payload lacks {error}" if isinstance(error, KeyError) else "A part has another form"
    return NotUnderstood(f"{told}. Is this a webhook of {sender}?")


def _tidy(event: Event) -> Event:
    """Without what is empty, and with texts of a length that is taken."""
    payload = {name: value[:1000] if isinstance(value, str) else value for name, value in event["payload"].items()}
    return {**event, "payload": {name: value for name, value in payload.items() if value not in (None, "")}}


# --- GitHub ---


def _github(payload: Payload, event: str) -> Iterator[Event]:
    """The event is in a header; without it, the payload's own keys tell."""
    kind = event or next((name for name in _GITHUB if name in payload), "")
    if kind in _GITHUB:
        yield from _GITHUB[kind](payload)


def _deployment(payload: Payload) -> Iterator[Event]:
    deployment = payload["deployment"]
    if payload.get("action", "created") != "created":
        return
    yield _by_sender(payload, "deploy_started", deployment["created_at"], _deploy(payload), deployment["id"])


def _deployment_status(payload: Payload) -> Iterator[Event]:
    status = payload["deployment_status"]
    outcome = {"success": "success", "failure": "failure", "error": "failure"}.get(status["state"])
    if outcome is None:
        return
    about = {**_deploy(payload), "environment": status.get("environment") or payload["deployment"]["environment"]}
    if outcome == "success":
        yield _by_sender(payload, "deployed", status["created_at"], about, status["id"])
    yield _by_sender(payload, "deploy.finished", status["created_at"], {**about, "outcome": outcome}, status["id"])


def _deploy(payload: Payload) -> Event:
    deployment = payload["deployment"]
    return {
        "deploy_id": str(deployment["id"]),
        "repo": payload["repository"]["full_name"],
        "environment": deployment["environment"],
        "sha": deployment["sha"],
        "branch": deployment.get("ref"),
    }


def _workflow_run(payload: Payload) -> Iterator[Event]:
    run = payload["workflow_run"]
    if payload.get("action", "completed") != "completed" or run["status"] != "completed":
        return
    yield _by_sender(
        payload, "ci.run", run["updated_at"], run_payload(run, payload["repository"]["full_name"]),
        f"{run['id']}:{run.get('run_attempt', 1)}",
    )  # fmt: skip


def run_payload(run: Payload, repo: str) -> Event:
    """A workflow run as GitHub's API and its webhooks give it."""
    began = _moment(run.get("run_started_at") or run["created_at"], "run_started_at")
    seconds = (_moment(run["updated_at"], "updated_at") - began).total_seconds()
    return {
        "run_id": str(run["id"]),
        "repo": repo,
        "workflow": run.get("name") or run.get("path"),
        "branch": run.get("head_branch"),
        "sha": run.get("head_sha"),
        "conclusion": run.get("conclusion"),
        "attempt": run.get("run_attempt"),
        "duration": seconds if seconds >= 0 else None,
    }


def _pull_request(payload: Payload) -> Iterator[Event]:
    request = payload["pull_request"]
    if payload.get("action") != "closed" or not request.get("merged_at"):
        return
    repo = payload["repository"]["full_name"]
    about = {
        "pr": f"{repo}#{request['number']}",
        "repo": repo,
        "created_at": request["created_at"],
        "merged_at": request["merged_at"],
        "sha": request.get("merge_commit_sha"),
        **{name: request.get(name) for name in ("additions", "deletions", "commits")},
    }
    yield _by_sender(payload, "pr.merged", request["merged_at"], about, request["id"])


def _by_sender(payload: Payload, kind: str, at: str, about: Event, key: object) -> Event:
    actor = (payload.get("sender") or {}).get("login", "")
    return {"kind": kind, "occurredAt": at, "payload": about, "actor": actor, "key": f"{kind}:{key}"}


#: The longest names first: a deployment_status has a deployment as well.
_GITHUB: Mapping[str, Callable[[Payload], Iterator[Event]]] = {
    "deployment_status": _deployment_status,
    "deployment": _deployment,
    "workflow_run": _workflow_run,
    "pull_request": _pull_request,
}


# --- Alertmanager ---


#: What each state of an alert is, and the time that it happened at.
_ALERTS: Mapping[object, tuple[str, str]] = {
    "firing": ("alert.fired", "startsAt"),
    "resolved": ("alert.resolved", "endsAt"),
}


def _alertmanager(payload: Payload, event: str) -> Iterator[Event | Invalid]:
    """Each alert by itself: one that is not understood takes nothing of the others with it."""
    for alert in payload["alerts"]:
        try:
            yield _alert(alert)
        except _OTHER_FORMS as error:
            yield _not_understood(error, "alertmanager")


def _alert(alert: Payload) -> Event | Invalid:
    if alert["status"] not in _ALERTS:
        return NotUnderstood(f"An alert is firing or resolved, not {str(alert['status'])[:40]!a}.")
    kind, time = _ALERTS[alert["status"]]
    labels = alert.get("labels") or {}
    fingerprint, started = alert.get("fingerprint") or _digest(labels), alert["startsAt"]
    about = {
        "fingerprint": fingerprint,
        "alertname": labels.get("alertname"),
        "severity": labels.get("severity") or (alert.get("annotations") or {}).get("severity"),
        "service": labels.get("service") or labels.get("job") or labels.get("instance"),
        "started_at": started,
    }
    return {"kind": kind, "occurredAt": alert[time], "payload": about, "key": f"{kind}:{fingerprint}:{started}"}


def _digest(labels: Payload) -> str:
    """A name for an alert of an Alertmanager that gives none: its labels are what makes it one."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


# --- Chatwoot ---

_DIRECTIONS: Mapping[str, str] = {"0": "incoming", "1": "outgoing", "2": "activity", "3": "template"}


def _chatwoot(payload: Payload, event: str) -> Iterator[Event]:
    """Messages: who answers whom, and when. What was written stays where it is."""
    if payload.get("event") != "message_created":
        return
    conversation = payload["conversation"]
    direction = str(payload["message_type"])
    about = {
        "conversation_id": str(conversation.get("display_id") or conversation["id"]),
        "message_id": str(payload["id"]),
        "account": str((payload.get("account") or {}).get("id") or ""),
        "direction": _DIRECTIONS.get(direction, direction),
        "is_private": bool(payload.get("private", False)),
    }
    sender = payload.get("sender") or {}
    yield {
        "kind": "chatwoot.message",
        "occurredAt": _moment(payload["created_at"], "created_at").isoformat(),
        "payload": about,
        "actor": sender.get("email") or (f"chatwoot-{sender['id']}" if "id" in sender else ""),
        "key": f"message:{about['account']}:{about['message_id']}",
    }


def _moment(value: object, name: str) -> datetime:
    """A time as these systems write it: RFC 3339, `2020-03-03 13:05:57 UTC`, or seconds or milliseconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value if value < _MILLISECONDS else value / 1000, UTC)
    try:
        at = datetime.fromisoformat(re.sub(r" UTC$", "+00:00", str(value)))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise NotUnderstood(
            f"{name} must be a time with its zone, such as 2026-03-02T10:00:00Z, not {str(value)[:40]!a}."
        )
    return at


#: No time in seconds is as large, and none in milliseconds is smaller: 1973 or the year 5138.
_MILLISECONDS = 1e11


ADAPTERS: Mapping[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        Adapter("github", _github, "X-GitHub-Event", "X-Hub-Signature-256"),
        Adapter("alertmanager", _alertmanager),
        Adapter("chatwoot", _chatwoot),
    )
}
