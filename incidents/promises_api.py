"""The promise ledger over HTTP: what became of each promise, moving the one that stands, and "no change"."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import by_method
from accounts.roles import Can
from incidents import actions, clock
from incidents.board import promise_ledger
from incidents.door import COMMANDS, ONE, Door
from incidents.models import Incident, Milestone
from incidents.promises import Outcome, Promised, tally
from incidents.serializers import MilestoneShown, Stamped
from incidents.viewing import check_may_publish
from majorops.lib.fields import Body, Shown, Text, Time
from majorops.lib.times import to_millisecond
from majorops.lib.visibility import visible

MILLISECOND = timedelta(milliseconds=1)


class PromiseShown(Shown):
    """One promise. Those that were moved have a row for each time that was promised."""

    milestone = serializers.IntegerField(source="made_by.sequence", help_text="The sequence of the one that made it.")
    made_at = Time()
    due_at = Time()
    outcome = serializers.ChoiceField(choices=[each.value for each in Outcome])
    delivered_at = Time(allow_null=True)
    delivered_by = serializers.SerializerMethodField(help_text="The sequence of the milestone that came.")
    reason = serializers.SerializerMethodField(help_text="Why it took the place of an earlier one, if it did.")
    late_ms = serializers.SerializerMethodField(help_text="Of a missed one that came: how late. Null otherwise.")

    def get_delivered_by(self, promise: Promised[Milestone]) -> int | None:
        return promise.delivered_by.sequence if promise.delivered_by else None

    def get_reason(self, promise: Promised[Milestone]) -> str:
        return str(getattr(promise.move, "reason", ""))

    def get_late_ms(self, promise: Promised[Milestone]) -> int | None:
        if promise.outcome != Outcome.MISSED or promise.delivered_at is None:
            return None
        return (promise.delivered_at - promise.due_at) // MILLISECOND


class LedgerShown(Shown):
    """The state of the next update, as the badge shows it, and every promise, oldest first."""

    state = serializers.ChoiceField(choices=[each.value for each in clock.Promise])
    next_update_eta = Time(allow_null=True)
    kept = serializers.IntegerField(help_text="Of `judged`. A resolution in time keeps a promise too.")
    judged = serializers.IntegerField(help_text="Promises that have come due or were kept.")
    missed = serializers.IntegerField()
    revised = serializers.IntegerField(help_text="Moved before they were due: neither kept nor missed.")
    promises = PromiseShown(many=True)


class MoveBody(Body):
    next_update_eta = Time(help_text="The new time.")
    reason = Text(max_length=500, help_text="Those who wait read it.")


class NoChangeBody(Stamped):
    next_update_eta = Time(required=False, help_text="Default: as long from now as the last time.")
    reason = Text(max_length=500, allow_blank=True, required=False)


class Promises(Door):
    """What became of each promised update."""

    permission_classes = [by_method(GET=Can.READ_INCIDENTS, POST=Can.COMMAND)]
    serializer_class = LedgerShown

    def get(self, request: Request, incident_id: str) -> Response:
        """The promise ledger of an incident. 304 while no promise was made, kept, or fell due."""
        return Response(self._ledger(self.incident, to_millisecond(timezone.now())))

    @extend_schema(request=MoveBody, responses={201: LedgerShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Move the promise that stands. Before it is due it is revised; after that it stays missed."""
        check_may_publish(self.sender)
        body = self.read(MoveBody)
        actions.move_promise(self.incident, body.pop("next_update_eta"), **body)
        return Response(self._ledger(self.now_of(self.incident), body["stamp"].now), status=201)

    def _ledger(self, incident: Incident, now: datetime) -> dict[str, Any]:
        milestones = list(visible(incident.milestones.order_by("sequence"), self.sender))
        ledger = promise_ledger(incident, milestones, self.sender, now)
        told = tally(ledger, now)
        shown = {
            "state": clock.next_update(incident.next_update_eta, now).state.value,
            "next_update_eta": incident.next_update_eta,
            "kept": told.kept,
            "judged": told.judged,
            "missed": told.missed,
            "revised": told.revised,
            "promises": ledger,
        }
        return dict(LedgerShown(shown).data)


class NoChange(Door):
    permission_classes = [COMMANDS]
    serializer_class = MilestoneShown

    @extend_schema(request=NoChangeBody, responses={201: MilestoneShown})
    def post(self, request: Request, incident_id: str) -> Response:
        """Publish that nothing has changed. It keeps the promise that stands, and makes the next."""
        check_may_publish(self.sender)
        cut = actions.publish_no_change(self.incident, **self.read(NoChangeBody))
        return Response(MilestoneShown(cut, context=self.get_serializer_context()).data, status=201)


urlpatterns = [
    path(f"{ONE}/promises", Promises.as_view(), name="promises"),
    path(f"{ONE}/no-change", NoChange.as_view(), name="no-change"),
]
