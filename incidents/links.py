"""RULES: how incidents belong together: the same one again, the next one of it, or merely related. Pure.

Nothing is merged. Each incident keeps its record; a link says why two belong together, and can be taken back.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import TextChoices

from incidents.errors import LinkCannotBe


class LinkKind(TextChoices):
    #: The first is a second record of the other one. KPIs count the other one only.
    DUPLICATE = "duplicate", "Duplicate of"
    #: The first broke out after the other one was resolved, too late to be the same.
    FOLLOWS = "follows", "Follows"
    RELATED = "related", "Related to"


#: How a link reads from the other end.
SEEN_FROM_THERE = {
    LinkKind.DUPLICATE: "Has the duplicate",
    LinkKind.FOLLOWS: "Was followed by",
    LinkKind.RELATED: "Related to",
}


def is_same_incident(resolved_at: datetime, at: datetime, within: timedelta) -> bool:
    """Whether trouble at `at` is the resolved incident going on, or a new one. The last moment is the same one."""
    return at - resolved_at <= within


def check_link(kind: LinkKind, one: str, other: str, *, duplicates: Collection[tuple[str, str]]) -> None:
    """`duplicates` are the standing links (from, to) of that kind that name either incident. Raises LinkCannotBe."""
    if one == other:
        raise LinkCannotBe("An incident cannot be linked to itself.", field="other")
    if kind != LinkKind.DUPLICATE:
        return
    if any(first == one for first, _ in duplicates):
        raise LinkCannotBe("This incident is marked as a duplicate already. Take that link back first.", field="other")
    if any(first == other for first, _ in duplicates):
        raise LinkCannotBe("That incident is itself a duplicate. Link to the one it is a duplicate of.", field="other")
    if any(second == one for _, second in duplicates):
        raise LinkCannotBe(
            "Other incidents are duplicates of this one, so it must stay the one that counts.", field="other"
        )
