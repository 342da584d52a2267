"""What the templates of the command page get: the board and the empty forms. Views and live updates ask here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from accounts.models import User
from incidents.audience import Audience
from incidents.board import Board, Fact, board
from incidents.forms.core import Form
from incidents.forms.entries import LogForm, ResponderLogForm, UpdateForm
from incidents.forms.facts import EditForm
from incidents.forms.people import AnswerForm, PageForm, RoleForm, StandDownForm
from incidents.forms.phases import AdvanceForm
from incidents.forms.promises import MilestoneForm, MoveForm, PromiseForm
from incidents.lifecycle import Status
from incidents.models import Incident
from incidents.viewing import audience_for


def command_page(
    incident: Incident, user: User, now: datetime, *, refused: Form | None = None, canned: str = ""
) -> dict[str, Any]:
    """The context of the page and of each of its blocks. `incident` comes from `incidents_for(user)`."""
    audience = audience_for(user, incident)
    shown = board(incident, user, audience, now)
    forms = _forms(incident, audience, shown, now) | _answers(shown, now)
    _begin(forms, shown, canned)
    shown = _with_forms(shown, forms, refused)
    if refused and refused.key in forms:
        forms[refused.key] = refused
    return {
        "board": shown,
        "stray": refused if refused and refused.key not in forms else None,
        "incident": incident,
        "forms": forms,
        "now": now,
        "next_status": Status.ACTIVE if incident.status == Status.MONITORING else Status.MONITORING,
    }


def _begin(forms: dict[str, Form], shown: Board, canned: str) -> None:
    """Puts the text of this key where it belongs."""
    for text in shown.canned:
        if text.key == canned and text.form in forms:
            forms[text.form].initial["body" if text.form == "milestone" else "content"] = text.text


def _with_forms(shown: Board, forms: dict[str, Form], refused: Form | None) -> Board:
    """The board, each team and each fact beside the form that changes it, which may be one that was refused."""
    known = forms | ({refused.key: refused} if refused and refused.key in forms else {})
    teams = [
        replace(row, form=known.get(f"answer-{row.id}"), stand_down=known.get(f"down-{row.id}")) for row in shown.teams
    ]
    every = forms.get("facts")
    if every is None:
        return replace(shown, teams=teams)
    one = refused if isinstance(refused, EditForm) else every

    def dressed(facts: list[Fact]) -> list[Fact]:
        owner = [(fact, one if fact.name in one.fields else every) for fact in facts]
        return [replace(fact, field=form[fact.name] if fact.name in form.fields else None) for fact, form in owner]

    impact, alert, basics = (dressed(facts) for facts in (shown.impact, shown.alert, shown.basics))
    return replace(shown, teams=teams, impact=impact, alert=alert, basics=basics)


def _forms(incident: Incident, audience: Audience, shown: Board, now: datetime) -> dict[str, Form]:
    """The empty forms this person gets."""
    forms: dict[str, Form] = {}
    if audience.may_post:
        forms["post"] = (LogForm if audience.may_command else ResponderLogForm)(now=now, key="post")
    if audience.may_command and incident.is_open:
        forms["update"] = UpdateForm(now=now, key="update")
        forms["milestone"] = MilestoneForm(now=now, key="milestone", lines=shown.lines, status=incident.status)
        forms["promise"] = PromiseForm(now=now, key="promise")
        if shown.promise.due_at:
            forms["move"] = MoveForm(now=now, key="move")
        forms["advance"] = AdvanceForm(now=now, key="advance", incident=incident)
        forms["page"] = PageForm(now=now, key="page")
        forms["role"] = RoleForm(now=now, key="role")
    if audience.may_command:
        forms["facts"] = EditForm(now=now, key="facts", incident=incident, may_publish=audience.may_publish)
    return forms


def _answers(shown: Board, now: datetime) -> dict[str, Form]:
    """A small form for each team that is still awaited."""
    waiting = [row for row in shown.teams if row.may_answer]
    forms: dict[str, Form] = {f"answer-{row.id}": AnswerForm(now=now, key=f"answer-{row.id}") for row in waiting}
    if shown.audience.may_command:
        forms |= {f"down-{row.id}": StandDownForm(now=now, key=f"down-{row.id}") for row in waiting}
    return forms
