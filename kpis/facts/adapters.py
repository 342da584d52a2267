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
    read: Callable[[Payload, str], Iterator[Event]]
    #: The header that names the event, and the one that has the HMAC-SHA256 of the body.
    event_header: str = ""
    signature_header: str = ""


class NotUnderstood(Invalid):
    """This payload is not what the adapter expects."""

    code = "payload_not_understood"


def events(adapter: Adapter, payload: object, event: str = "") -> list[Event]:
    """What the payload tells. Raises NotUnderstood where it lacks what it must have."""
    if not isinstance(payload, Mapping):
        raise NotUnderstood(f"A webhook of {adapter.name} is a JSON object.")
    try:
        return [_tidy(each) for each in adapter.read(payload, event)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"The payload lacks {error}" if isinstance(error, KeyError) else "A part has another form"
        raise NotUnderstood(f"{told}. Is this a webhook of {adapter.name}?") from None


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
    began = _moment(run.get("run_started_at") or run["created_at"])
    seconds = (_moment(run["updated_at"]) - began).total_seconds()
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


def _alertmanager(payload: Payload, event: str) -> Iterator[Event]:
    for alert in payload["alerts"]:
        labels = alert.get("labels") or {}
        fingerprint = alert.get("fingerprint") or _digest(labels)
        started, is_firing = alert["startsAt"], alert["status"] == "firing"
        about = {
            "fingerprint": fingerprint,
            "alertname": labels.get("alertname"),
            "severity": labels.get("severity") or (alert.get("annotations") or {}).get("severity"),
            "service": labels.get("service") or labels.get("job") or labels.get("instance"),
            "started_at": started,
        }
        kind = "alert.fired" if is_firing else "alert.resolved"
        at = started if is_firing else alert["endsAt"]
        yield {"kind": kind, "occurredAt": at, "payload": about, "key": f"{kind}:{fingerprint}:{started}"}


def _digest(labels: Payload) -> str:
    """A name for an alert of an Alertmanager that gives none: its labels are what makes it one."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


# --- Chatwoot ---

_DIRECTIONS = {0: "incoming", 1: "outgoing", 2: "activity", 3: "template"}


def _chatwoot(payload: Payload, event: str) -> Iterator[Event]:
    """Messages: who answers whom, and when. What was written stays where it is."""
    if payload.get("event") != "message_created":
        return
    conversation = payload["conversation"]
    direction = payload["message_type"]
    about = {
        "conversation_id": str(conversation.get("display_id") or conversation["id"]),
        "message_id": str(payload["id"]),
        "account": str((payload.get("account") or {}).get("id") or ""),
        "direction": _DIRECTIONS[direction] if isinstance(direction, int) else direction,
        "is_private": bool(payload.get("private", False)),
    }
    sender = payload.get("sender") or {}
    yield {
        "kind": "chatwoot.message",
        "occurredAt": _moment(payload["created_at"]).isoformat(),
        "payload": about,
        "actor": sender.get("email") or (f"chatwoot-{sender['id']}" if "id" in sender else ""),
        "key": f"message:{about['account']}:{about['message_id']}",
    }


def _moment(value: object) -> datetime:
    """A time as these systems write it: RFC 3339, `2020-03-03 13:05:57 UTC`, or seconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    at = datetime.fromisoformat(re.sub(r" UTC$", "+00:00", str(value)))
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


ADAPTERS: Mapping[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        Adapter("github", _github, "X-GitHub-Event", "X-Hub-Signature-256"),
        Adapter("alertmanager", _alertmanager),
        Adapter("chatwoot", _chatwoot),
    )
}
