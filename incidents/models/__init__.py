"""A live incident and its history. Rows change only through actions; ledgers are written once."""

from incidents.models.communication import Milestone, StatusUpdate, UpdateQuerySet
from incidents.models.dispatch import ArrivalSource, TeamPage, TeamPageQuerySet, TeamPages
from incidents.models.incident import Incident, IncidentQuerySet
from incidents.models.intake import IntakeEvent, IntakeSource, SourceAlert
from incidents.models.links import CalendarFeed, IncidentLink, LinkQuerySet
from incidents.models.outbox import Audience, Endpoint, Notice, Subscription
from incidents.models.people import Participant, RoleAssignment
from incidents.models.promises import CannedText, MilestoneDraft, MilestoneSource, PromiseAlert, PromiseMove
from incidents.models.reviews import (
    ContributingFactor,
    FollowUp,
    FollowUpQuerySet,
    LearningReview,
    ReviewQuerySet,
    ReviewRevision,
    ReviewSection,
)
from incidents.models.sending import Delivery, DeliveryAttempt, DeliveryState
from incidents.models.shared import Source, new_public_id, one_of
from incidents.models.status import StatusComponent
from incidents.models.summaries import BriefVisit, ExecSummary, Origin, ReadReceipt
from incidents.models.surveys import SurveyInvitation, SurveyResponse
from incidents.models.timeline import EntryQuerySet, PhaseEntries, PhaseEntry, TimelineEvent

__all__ = [
    "ArrivalSource",
    "Audience",
    "BriefVisit",
    "CalendarFeed",
    "CannedText",
    "ContributingFactor",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "Endpoint",
    "EntryQuerySet",
    "ExecSummary",
    "FollowUp",
    "FollowUpQuerySet",
    "Incident",
    "IncidentLink",
    "IncidentQuerySet",
    "IntakeEvent",
    "IntakeSource",
    "LearningReview",
    "LinkQuerySet",
    "Milestone",
    "MilestoneDraft",
    "MilestoneSource",
    "Notice",
    "Origin",
    "Participant",
    "PhaseEntries",
    "PhaseEntry",
    "PromiseAlert",
    "PromiseMove",
    "ReadReceipt",
    "ReviewQuerySet",
    "ReviewRevision",
    "ReviewSection",
    "RoleAssignment",
    "Source",
    "SourceAlert",
    "StatusComponent",
    "StatusUpdate",
    "Subscription",
    "SurveyInvitation",
    "SurveyResponse",
    "TeamPage",
    "TeamPageQuerySet",
    "TeamPages",
    "TimelineEvent",
    "UpdateQuerySet",
    "new_public_id",
    "one_of",
]
