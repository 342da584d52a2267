"""The kinds that our adapters and importers emit. Packs build on them, and administrators may extend them."""

from __future__ import annotations

from kpis.facts.kinds import BUILT_IN, Kind

_TEXT: dict[str, object] = {"type": "string"}
_NAMED: dict[str, object] = {"type": "string", "required": True}
_TIME: dict[str, object] = {"type": "time"}
_COUNT: dict[str, object] = {"type": "int"}
OUTCOMES = ("success", "failure", "rolled_back")
_DEPLOY: dict[str, dict[str, object]] = {
    "deploy_id": _NAMED, "repo": _NAMED, "environment": _TEXT, "sha": _TEXT, "branch": _TEXT,
}  # fmt: skip
_ALERT: dict[str, dict[str, object]] = {
    "fingerprint": _NAMED, "alertname": _TEXT, "severity": _TEXT, "service": _TEXT, "started_at": _TIME,
}  # fmt: skip
_OWNER = "Engineering"

STANDARD: tuple[Kind, ...] = (
    Kind("deploy_started", "A deployment began.", _DEPLOY, _OWNER, "deploy", "deploy_id"),
    Kind("deployed", "A deployment reached its environment.", _DEPLOY, _OWNER, "deploy", "deploy_id"),
    Kind(
        "deploy.finished",
        "A deployment ended, well or not.",
        {**_DEPLOY, "outcome": {"type": "enum", "enum": list(OUTCOMES), "required": True}},
        _OWNER,
        "deploy",
        "deploy_id",
    ),
    Kind(
        "ci.run",
        "A run of a workflow was completed.",
        {
            "run_id": _NAMED, "repo": _NAMED, "workflow": _TEXT, "branch": _TEXT, "sha": _TEXT, "conclusion": _TEXT,
            "attempt": _COUNT, "duration": {"type": "duration", "unit": "seconds"},
        },
        _OWNER,
        "ci_run",
        "run_id",
    ),
    Kind(
        "pr.merged",
        "A pull request was merged.",
        {
            "pr": _NAMED, "repo": _NAMED, "created_at": _TIME, "merged_at": {"type": "time", "required": True},
            "first_commit_at": _TIME, "sha": _TEXT, "additions": _COUNT, "deletions": _COUNT, "commits": _COUNT,
            "reviewed": {"type": "bool"},
        },
        _OWNER,
        "pull_request",
        "pr",
        "merged_at",
    ),
    Kind(
        "commit.pushed",
        "A commit came into a repository.",
        {"sha": _NAMED, "repo": _NAMED, "author": {"type": "person"}, "authored_at": _TIME},
        _OWNER,
        "commit",
        "sha",
    ),
    Kind(
        "code_contribution",
        "A commit added and deleted lines.",
        {
            "sha": _NAMED, "repo": _NAMED, "author": {"type": "person"}, "added": _COUNT, "deleted": _COUNT,
            "files": _COUNT,
        },
        _OWNER,
        "commit",
        "sha",
    ),
    Kind(
        "commit_day",
        "Somebody committed to a repository on a day; one fact for each such day.",
        {"repo": _NAMED, "day": _NAMED},
        _OWNER,
    ),
    Kind("alert.fired", "An alert began to fire.", _ALERT, "Operations", "alert", "fingerprint"),
    Kind("alert.resolved", "An alert stopped firing.", _ALERT, "Operations", "alert", "fingerprint"),
    Kind(
        "chatwoot.message",
        "Somebody wrote in a conversation with a customer.",
        {
            "conversation_id": _NAMED, "message_id": _NAMED, "account": _TEXT, "is_private": {"type": "bool"},
            "direction": {"type": "enum", "enum": ["incoming", "outgoing", "activity", "template"], "required": True},
        },
        "Support",
        "conversation",
        "conversation_id",
    ),
)  # fmt: skip
EVERY_BUILT_IN = (*BUILT_IN, *STANDARD)
