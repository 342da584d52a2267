"""What is known of it: the descriptive fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models import Field

from incidents.actions._core import Stamp, action, locked, log, plain, tell, write
from incidents.actions.summaries import keep_accepted
from incidents.lifecycle import EventType, RiskLevel, Verb
from incidents.models import Incident, Origin
from incidents.outbox_rules import Event
from majorops.lib.errors import Invalid
from majorops.lib.links import check_https
from majorops.lib.text import clean_text

#: What edit_incident may change. Status, phase and their times have actions of their own.
EDITABLE = (
    "title",
    "description",
    "severity",
    "affected_systems",
    "bridge_url",
    "alert_id",
    "customer_count",
    "issue_time",
    "resolve_time",
    "external_impact",
    "business_impact",
    "customer_impact_summary",
    "risk_level",
    "exec_summary",
    "decision_asked",
    "audience_notes",
)


#: Who gets to know of it. Doors ask incidents.viewing.check_may_edit first.
REACH = ("restricted", "publish_status", "public_title")


MAX_SYSTEMS = 200


@action
def edit_incident(
    incident: Incident, changes: Mapping[str, object], *, stamp: Stamp, expected_version: int | None = None
) -> Incident:
    """Changes descriptive fields. The log keeps the old and the new value of each; no change writes nothing."""
    current = locked(incident, expected_version, wanted=changes)
    if unknown := set(changes) - {*EDITABLE, *REACH}:
        name = sorted(unknown)[0]
        raise Invalid(f"{name} cannot be edited. These can: {', '.join((*EDITABLE, *REACH))}.", field=name)
    cleaned = {name: clean(current, name, value) for name, value in changes.items()}
    changed = {name: value for name, value in cleaned.items() if getattr(current, name) != value}
    if not changed:
        return current
    history = {name: [plain(getattr(current, name)), plain(value)] for name, value in changed.items()}
    write(current, **changed)
    if "exec_summary" in changed:
        keep_accepted(current, stamp, Origin.PERSON)
    for verb, part in _told(history):
        log(
            current,
            stamp,
            verb=verb,
            type=EventType.COMMAND,
            title=TITLES[verb](part),
            changes=part,
            incident_version=current.version,
        )
    if "severity" in changed and current.is_open:
        tell(current, Event.SEVERITY, stamp, f"Severity: {current.get_severity_display()}")
    return current


Pairs = dict[str, list[object]]


def _told(history: Pairs) -> Iterator[tuple[Verb, Pairs]]:
    """Each entry that tells a part of it: what executives are told of stands in entries of its own."""
    rest = {name: pair for name, pair in history.items() if name not in OWN_ENTRY}
    if rest:
        yield Verb.EDITED, rest
    yield from ((OWN_ENTRY[name], {name: pair}) for name, pair in history.items() if name in OWN_ENTRY)


def _changed(part: Pairs) -> str:
    return f"Changed {', '.join(str(column_of(name).verbose_name) for name in part)}"


def _risk(part: Pairs) -> str:
    before, after = (RiskLevel(str(value)).label for value in part["risk_level"])
    return f"Risk: {before} → {after}"


def _decision(part: Pairs) -> str:
    return "Decision asked of executives" if part["decision_asked"][1] else "No decision is asked any more"


OWN_ENTRY = {"risk_level": Verb.RISK, "decision_asked": Verb.DECISION}
TITLES: dict[Verb, Callable[[Pairs], str]] = {Verb.EDITED: _changed, Verb.RISK: _risk, Verb.DECISION: _decision}


def column_of(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", Incident._meta.get_field(name))


def clean(incident: Incident, name: str, value: object) -> object:
    """`value` as the column takes it. Raises Invalid naming the field."""
    if name == "affected_systems":
        return systems(value)
    column = column_of(name)
    if isinstance(value, str):
        value = clean_text(value, field=name)
    if value == "" and column.null:
        value = None
    try:
        cleaned = column.clean(value, incident)
    except ValidationError as error:
        raise Invalid(f"{name}: {' '.join(error.messages)}", field=name) from None
    return check_https(cleaned, field=name) if name == "bridge_url" and cleaned else cleaned


def systems(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MAX_SYSTEMS:
        raise Invalid(f"affected_systems must be a list of at most {MAX_SYSTEMS} names.", field="affected_systems")
    names = [clean_text(name, field="affected_systems", max_length=120) for name in value]
    return list(dict.fromkeys(name for name in names if name))
