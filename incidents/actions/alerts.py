"""What the source of its alert says of an incident."""

from __future__ import annotations

from collections.abc import Mapping

from incidents.actions._core import Stamp, action, locked, log, plain, write
from incidents.lifecycle import EventType, Verb
from incidents.models import Incident, TimelineEvent
from majorops.lib.errors import Invalid

#: All that a source may write of an incident. What people wrote is theirs.
ALERT_COLUMNS = ("alert_source", "alert_id", "dedup_key", "issue_time", "resolve_time")


@action
def record_alert(
    incident: Incident, title: str, *, stamp: Stamp, changes: Mapping[str, object] | None = None, description: str = ""
) -> TimelineEvent:
    """An entry of type alert, and what it changes of ALERT_COLUMNS. Its end is noted after resolution too."""
    current = locked(incident)
    wanted = dict(changes or {})
    if strangers := sorted(set(wanted) - set(ALERT_COLUMNS)):
        raise Invalid(f"A source may not write {strangers[0]}.", field=strangers[0])
    changed = {name: value for name, value in wanted.items() if getattr(current, name) != value}
    history = {name: [plain(getattr(current, name)), plain(value)] for name, value in changed.items()}
    if changed:
        write(current, **changed)
    return log(
        current,
        stamp,
        verb=Verb.EDITED if changed else Verb.ENTRY,
        type=EventType.ALERT,
        title=title,
        description=description,
        changes=history or None,
        incident_version=current.version if changed else None,
    )
