"""A live incident and its history. Rows change only through actions; ledgers are written once."""

from incidents.models.communication import Milestone, StatusUpdate, UpdateQuerySet
from incidents.models.dispatch import ArrivalSource, TeamPage, TeamPageQuerySet, TeamPages
from incidents.models.incident import Incident, IncidentQuerySet
from incidents.models.people import Participant, RoleAssignment
from incidents.models.sending import Delivery, DeliveryAttempt, DeliveryState
from incidents.models.shared import Source, new_public_id, one_of
from incidents.models.timeline import EntryQuerySet, PhaseEntries, PhaseEntry, TimelineEvent

__all__ = [
    "ArrivalSource",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "EntryQuerySet",
    "Incident",
    "IncidentQuerySet",
    "Milestone",
    "Participant",
    "PhaseEntries",
    "PhaseEntry",
    "RoleAssignment",
    "Source",
    "StatusUpdate",
    "TeamPage",
    "TeamPageQuerySet",
    "TeamPages",
    "TimelineEvent",
    "UpdateQuerySet",
    "new_public_id",
    "one_of",
]
