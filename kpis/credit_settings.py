"""The versions of dispatch credit's weights and limits: which one holds at a moment, and the writer of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from accounts import audit
from accounts.audit import Action
from kpis.dispatch_credit import AT_FIRST, BUILT_IN, DEFAULT, InForce, Level, Settings
from kpis.errors import SameSetting
from kpis.models import CreditSetting

if TYPE_CHECKING:
    from kpis.actions import Editor

LEVELS = ("box3", "box2", "box1")
_OF_ALL = (
    "arrival_points", "ack_points", "tail_points", "z", "patience", "min_provisional", "min_rated", "min_acks",
    "min_ack_coverage",
)  # fmt: skip
_OF_LEVEL = ("arrival", "ack", "weight")
#: Everything that a version decides, by the columns of its row.
DECIDED = (*_OF_ALL, *(f"{level}_{name}" for level in LEVELS for name in _OF_LEVEL))


def in_force(as_of: datetime) -> InForce:
    """The version that held at `as_of`: a later one changes no earlier figure. One query."""
    row = CreditSetting.objects.filter(made_at__lte=as_of).order_by("-version").first()
    if row is None:
        return AT_FIRST
    return InForce(settings_of(values_of(row)), row.version, row.made_at, row.reason)


def values_of(row: CreditSetting) -> dict[str, float | None]:
    return {name: getattr(row, name) for name in DECIDED}


def values_in(settings: Settings) -> dict[str, float | None]:
    """The settings by the columns of a row."""
    return {
        **{name: getattr(settings, name) for name in _OF_ALL},
        **{f"{level}_{name}": getattr(settings.levels[level], name) for level in LEVELS for name in _OF_LEVEL},
    }


def settings_of(values: Mapping[str, float | None]) -> Settings:
    levels = {level: Level(*(values[f"{level}_{name}"] for name in _OF_LEVEL)) for level in LEVELS}  # type: ignore[arg-type]
    return Settings(levels=levels, **{name: values[name] for name in _OF_ALL})  # type: ignore[arg-type]


@transaction.atomic
def change(row: CreditSetting, editor: Editor) -> CreditSetting:
    """Appends `row` as the next version; from now on figures follow it. Raises SameSetting if it says nothing new."""
    newest = CreditSetting.objects.order_by("-version").first()
    before = values_of(newest) if newest else values_in(DEFAULT)
    after = values_of(row)
    if before == after:
        raise SameSetting
    row.version = newest.version + 1 if newest else BUILT_IN + 1
    row.made_by, row.made_at = editor.person, editor.now
    row.save()
    told = {name: before[name] for name in DECIDED if before[name] != after[name]}
    audit.record(
        Action.CREDIT_SETTING_CHANGE,
        request=editor.request,
        by=editor.person,
        obj=row,
        before=told,
        after={name: after[name] for name in told},
        reason=row.reason,
    )
    return row
