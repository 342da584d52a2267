"""Goals of other tools become KPIs that are proposed: with a target, and no number until something measures them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from kpis.actions import Edit, Editor, Running, create
from kpis.models import KpiDefinition
from kpis.monitoring.slo_files import Goal
from kpis.targets import Operator, Stated

OWNER = "Service owner"


@transaction.atomic
def take_over(goals: Sequence[Goal], editor: Editor) -> dict[str, bool]:
    """slug -> whether it is new. What is there already stays as it is."""
    there = set(KpiDefinition.objects.filter(slug__in=[goal.slug for goal in goals]).values_list("slug", flat=True))
    for goal in goals:
        if goal.slug not in there:
            create(goal.slug, _edit(goal), editor, reason=f"Imported from {goal.form}, line {goal.line}")
    return {goal.slug: goal.slug not in there for goal in goals}


def _edit(goal: Goal) -> Edit:
    name = f"{goal.title} ({goal.service})"[:120]
    described = {"name": name, "description": goal.description or name, "owner": OWNER}
    words = f"share of good events of {goal.service} over {goal.window}, as {goal.form} states it"
    target = Stated(operator=Operator.GTE, value=round(goal.share * 100, 9))
    return Edit(described=described, running=Running(words, None, "percent"), targets=[target])
