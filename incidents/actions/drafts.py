"""What a person is writing. It is theirs alone: nothing is logged, and nobody's page hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from accounts.models import User
from incidents.canned import default_texts
from incidents.models import CannedText, Incident, MilestoneDraft
from majorops.lib.errors import Invalid

#: Characters, all fields together: more than a milestone may have.
MAX_DRAFT = 40_000


def keep_draft(incident: Incident, user: User, typed: Mapping[str, list[str]], *, now: datetime) -> None:
    """Keeps what was typed so far in the form of a milestone, in place of what was kept before."""
    if sum(len(text) for texts in typed.values() for text in texts) > MAX_DRAFT:
        raise Invalid("This is too long for a draft. Publish a part of it.", field="body")
    MilestoneDraft.objects.update_or_create(
        incident=incident, user=user, defaults={"typed": dict(typed), "saved_at": now}
    )


def forget_draft(incident: Incident, user: User | None) -> None:
    """What its writer published, or threw away, is no draft any more."""
    MilestoneDraft.objects.filter(incident=incident, user=user).delete()


def install_texts() -> None:
    """The texts to begin with that the product comes with. Those that are there stay as they are, changed or not."""
    known = set(CannedText.objects.values_list("key", flat=True))
    CannedText.objects.bulk_create(
        CannedText(key=text.key, phase=phase, form=text.form, label=text.label, text=text.text)
        for phase, text in default_texts()
        if text.key not in known
    )
