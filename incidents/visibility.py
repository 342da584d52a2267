"""Who sees which rows and columns of incidents and their history.

Somebody unknown sees what was published on the anonymous status page, and nothing else. For most, restricted
incidents do not exist, and whatever hangs on one does not either.
"""

from __future__ import annotations

from functools import partial

from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import In

from accounts.models import User
from accounts.roles import Can
from accounts.visibility import administrators, for_administrators, may
from incidents.audience import audience
from incidents.lifecycle import TOLD_EXECUTIVES, Visibility
from incidents.models import (
    BriefVisit,
    CalendarFeed,
    CannedText,
    ContributingFactor,
    Delivery,
    DeliveryAttempt,
    Endpoint,
    ExecSummary,
    FollowUp,
    Incident,
    IncidentLink,
    IntakeEvent,
    IntakeSource,
    LearningReview,
    Milestone,
    MilestoneDraft,
    MilestoneSource,
    Notice,
    Participant,
    PhaseEntry,
    PromiseAlert,
    PromiseMove,
    ReadReceipt,
    ReviewRevision,
    ReviewSection,
    RoleAssignment,
    SourceAlert,
    StatusComponent,
    StatusUpdate,
    Subscription,
    SurveyInvitation,
    SurveyResponse,
    TeamPage,
    TimelineEvent,
)
from incidents.review import ReviewState
from incidents.survey import ENOUGH
from incidents.viewing import PUBLISHED, audience_for, called, named, readable_fields, reads_restricted
from majorops.lib.visibility import NONE, Fields, Rows, Sight, columns, visible

#: The columns of each ledger that its readers read. The rest is for administrators: ids, origins, bookkeeping.
ENTRY = frozenset(
    {
        "id", "incident", "type", "title", "description", "actor", "occurred_at", "recorded_at", "visibility",
        "phase_number", "corrects", "undoes", "verb", "changes", "source",
    }
)  # fmt: skip
UPDATE = frozenset({"id", "incident", "content", "visibility", "author_name", "created_at", "source"})
MILESTONE = frozenset(
    {
        "id", "incident", "sequence", "title", "body", "status_at_cut", "next_update_eta", "cut_by_name", "created_at",
        "is_resolution", "no_promise_reason",
    }
)  # fmt: skip
MOVE = frozenset({"id", "incident", "milestone", "was_due_at", "due_at", "reason", "moved_by_name", "recorded_at"})
SUMMARY = frozenset({"id", "incident", "body", "origin", "is_accepted", "by_role", "created_at"})
RECEIPT = frozenset({"id", "incident", "milestone", "user", "read_at"})
SENDING = frozenset({"id", "page", "call", "queued_at", "state", "channel"})
PAGE = columns(TeamPage) - {"paged_by", "recorded_at", "replaces", "voided_at", "voided_by_event"}


def _incidents(rows: QuerySet[Incident], viewer: object) -> QuerySet[Incident]:
    if not may(viewer, Can.READ_INCIDENTS):
        return rows.filter(publish_status=True, restricted=False)
    return rows if reads_restricted(viewer) else rows.filter(Q(restricted=False) | named(viewer))


def _incident_fields(viewer: object, incident: Incident | None) -> frozenset[str]:
    if not may(viewer, Can.READ_INCIDENTS):
        return PUBLISHED
    if incident is None:
        return readable_fields(audience(partial(may, viewer), was_called=False))
    return readable_fields(audience_for(viewer, incident))  # type: ignore[arg-type]


def _of_visible(rows: Rows, viewer: object) -> Rows:
    """Rows of incidents that exist for the viewer."""
    if reads_restricted(viewer):
        return rows
    return rows.filter(incident__in=visible(Incident.objects.order_by(), viewer))


def _entries(rows: QuerySet[TimelineEvent], viewer: object) -> QuerySet[TimelineEvent]:
    if not may(viewer, Can.READ_INCIDENTS):
        return rows.none()
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    # An entry without an audience is for both; an unknown audience is internal.
    told = Q(visibility=Visibility.PUBLIC) | Q(visibility=None)
    if may(viewer, Can.READ_EXECUTIVE):
        # By its key: joined, PostgreSQL reads every log there is.
        undone = TimelineEvent.objects.order_by().filter(pk=OuterRef("undoes")).values("verb")[:1]
        told |= Q(verb__in=TOLD_EXECUTIVES) | Q(In(Subquery(undone), list(TOLD_EXECUTIVES)))
    return _of_visible(rows, viewer).filter(told | called(viewer, "incident"))


def _updates(rows: QuerySet[StatusUpdate], viewer: object) -> QuerySet[StatusUpdate]:
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return _of_visible(rows, viewer).filter(Q(visibility=Visibility.PUBLIC) | called(viewer, "incident"))


def _internal(rows: Rows, viewer: object) -> Rows:
    """For those who read internal entries, and those called to the incident."""
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return rows.filter(called(viewer, "incident"))


def _pages(rows: QuerySet[TeamPage], viewer: object) -> QuerySet[TeamPage]:
    if may(viewer, Can.READ_TEAMS) and may(viewer, Can.READ_INCIDENTS):
        return _of_visible(rows, viewer)
    return rows.filter(called(viewer, "incident"))


def _deliveries(rows: QuerySet[Delivery], viewer: object) -> QuerySet[Delivery]:
    if may(viewer, Can.ADMINISTER):
        return rows
    return rows.filter(page__in=visible(TeamPage.with_voided.order_by(), viewer))


def _own_subscriptions(rows: QuerySet[Subscription], viewer: object) -> QuerySet[Subscription]:
    """Each person their own, as long as the incident exists for them."""
    if not isinstance(viewer, User):
        return rows.none()
    seen = visible(Incident.objects.order_by(), viewer)
    return rows.filter(Q(incident=None) | Q(incident__in=seen), person=viewer)


def _tries(rows: QuerySet[DeliveryAttempt], viewer: object) -> QuerySet[DeliveryAttempt]:
    return rows if may(viewer, Can.ADMINISTER) else rows.none()


def _roles(rows: QuerySet[RoleAssignment], viewer: object) -> QuerySet[RoleAssignment]:
    return _of_visible(rows, viewer) if may(viewer, Can.READ_INCIDENTS) else rows.none()


def _participants(rows: QuerySet[Participant], viewer: object) -> QuerySet[Participant]:
    own = Q(user=viewer) if isinstance(viewer, User) else Q(pk__in=())
    if may(viewer, Can.READ_INTERNAL):
        return _of_visible(rows, viewer)
    return rows.filter(own | called(viewer, "incident"))


def _summaries(rows: QuerySet[ExecSummary], viewer: object) -> QuerySet[ExecSummary]:
    """A draft is for those who can accept it; executives read what was accepted."""
    if not may(viewer, Can.READ_EXECUTIVE):
        return rows.none()
    seen = _of_visible(rows, viewer)
    return seen if may(viewer, Can.COMMAND) else seen.filter(is_accepted=True)


def _receipts(rows: QuerySet[ReadReceipt], viewer: object) -> QuerySet[ReadReceipt]:
    return _of_visible(rows, viewer) if may(viewer, Can.COMMAND) else _own(rows, viewer)


def _own(rows: Rows, viewer: object) -> Rows:
    return rows.filter(user=viewer) if isinstance(viewer, User) else rows.none()


def _sources(rows: QuerySet[MilestoneSource], viewer: object) -> QuerySet[MilestoneSource]:
    """For those who may read both: the milestone, and the entry it was made from."""
    read = {model: visible(model._default_manager.order_by(), viewer) for model in (Milestone, TimelineEvent)}
    return rows.filter(milestone__in=read[Milestone], entry__in=read[TimelineEvent])


def _moves(rows: QuerySet[PromiseMove], viewer: object) -> QuerySet[PromiseMove]:
    return _of_visible(rows, viewer) if may(viewer, Can.READ_INCIDENTS) else rows.none()


def _drafts(rows: QuerySet[MilestoneDraft], viewer: object) -> QuerySet[MilestoneDraft]:
    """One's own, and nobody else's whatever their role."""
    return _own(_of_visible(rows, viewer), viewer)


def _texts(rows: QuerySet[CannedText], viewer: object) -> QuerySet[CannedText]:
    return rows if may(viewer, Can.COMMAND) or may(viewer, Can.ADMINISTER) else rows.none()


def _columns(model: type[Model], known: frozenset[str], published: frozenset[str] = frozenset()) -> Fields:
    """Fields: all for administrators, `known` for whoever may read incidents, `published` for the rest."""

    def fields(viewer: object, row: object) -> frozenset[str]:
        if may(viewer, Can.ADMINISTER):
            return columns(model)
        return known if may(viewer, Can.READ_INCIDENTS) else published

    return fields


def _known(rows: Rows, viewer: object) -> Rows:
    return rows if may(viewer, Can.READ_INCIDENTS) else rows.none()


def _reviews(rows: QuerySet[LearningReview], viewer: object) -> QuerySet[LearningReview]:
    """While it is written: for internal readers and those named in it. Executives read what is published; somebody
    unknown, of published incidents, what was written for them."""
    seen = _of_visible(rows, viewer)
    if not may(viewer, Can.READ_INCIDENTS):
        return seen.filter(state=ReviewState.PUBLISHED).exclude(public_text="")
    if may(viewer, Can.READ_INTERNAL):
        return seen
    published = Q(state=ReviewState.PUBLISHED) if may(viewer, Can.READ_EXECUTIVE) else Q(pk__in=())
    return seen.filter(published | _named_in_review(viewer))


def _named_in_review(viewer: object) -> Q:
    """True for reviews of incidents that a person was called to, and those that give them something to do."""
    if not isinstance(viewer, User):
        return Q(pk__in=())
    tasks = FollowUp.objects.filter(owner=viewer).order_by().values("review")
    return called(viewer, "incident") | Q(owner=viewer) | Q(pk__in=tasks)


def _of_reviews(rows: Rows, viewer: object) -> Rows:
    return rows.filter(review__in=visible(LearningReview.objects.order_by(), viewer))


def _review_history(rows: QuerySet[ReviewRevision], viewer: object) -> QuerySet[ReviewRevision]:
    """How it came to the text: not for those who only read what was published."""
    if may(viewer, Can.READ_INTERNAL):
        return _of_reviews(rows, viewer)
    own = LearningReview.objects.filter(_named_in_review(viewer)).order_by()
    return _of_reviews(rows, viewer).filter(review__in=own)


def _invitations(rows: QuerySet[SurveyInvitation], viewer: object) -> QuerySet[SurveyInvitation]:
    return _of_visible(rows, viewer) if may(viewer, Can.COMMAND) else _own(rows, viewer)


def _answers(rows: QuerySet[SurveyResponse], viewer: object) -> QuerySet[SurveyResponse]:
    """What people said, once there are enough of them. Who said it is nobody's to read."""
    if not may(viewer, Can.READ_INTERNAL):
        return rows.none()
    enough = SurveyInvitation.objects.filter(responses__isnull=False).order_by().values("incident")
    enough = enough.annotate(n=Count("pk", distinct=True)).filter(n__gte=ENOUGH).values("incident")
    incidents = visible(Incident.objects.order_by(), viewer)
    return rows.filter(invitation__incident__in=enough).filter(invitation__incident__in=incidents)


def _links(rows: QuerySet[IncidentLink], viewer: object) -> QuerySet[IncidentLink]:
    """Only those of which the viewer knows both ends."""
    if not may(viewer, Can.READ_INCIDENTS):
        return rows.none()
    known = visible(Incident.objects.order_by(), viewer)
    return rows if reads_restricted(viewer) else rows.filter(incident__in=known, other__in=known)


def _link_fields(viewer: object, row: object) -> frozenset[str]:
    if may(viewer, Can.READ_INTERNAL):
        return columns(IncidentLink)
    return frozenset({"id", "incident", "other", "kind", "linked_at"}) if may(viewer, Can.READ_INCIDENTS) else NONE


def _source_alerts(rows: QuerySet[SourceAlert], viewer: object) -> QuerySet[SourceAlert]:
    """For those who decide on them."""
    return rows if may(viewer, Can.COMMAND) or may(viewer, Can.ADMINISTER) else rows.none()


SIGHTS: dict[type[Model], Sight] = {
    Incident: Sight(
        _incidents,
        _incident_fields,
        filters=frozenset(
            {"id", "status", "severity", "kind", "phase", "detected_at", "next_update_eta", "affected_systems"}
        ),
        orders=frozenset({"detected_at", "id"}),
        searches=frozenset({"title"}),
    ),
    TimelineEvent: Sight(
        _entries,
        _columns(TimelineEvent, ENTRY),
        filters=frozenset({"id", "type", "actor", "occurred_at", "visibility", "corrects"}),
        orders=frozenset({"occurred_at", "recorded_at", "id"}),
        searches=frozenset({"title", "description", "actor"}),
    ),
    StatusUpdate: Sight(
        _updates,
        _columns(StatusUpdate, UPDATE, frozenset({"content", "created_at"})),
        orders=frozenset({"created_at", "id"}),
    ),
    Milestone: Sight(
        lambda rows, viewer: _of_visible(rows, viewer),
        _columns(Milestone, MILESTONE, frozenset({"sequence", "title", "body", "created_at", "next_update_eta"})),
        orders=frozenset({"sequence"}),
    ),
    MilestoneSource: Sight(
        _sources, _columns(MilestoneSource, columns(MilestoneSource)), orders=frozenset({"position"})
    ),
    MilestoneDraft: Sight(_drafts, lambda viewer, row: columns(MilestoneDraft)),
    PromiseMove: Sight(_moves, _columns(PromiseMove, MOVE), orders=frozenset({"recorded_at", "id"})),
    PromiseAlert: Sight(_internal, _columns(PromiseAlert, columns(PromiseAlert)), orders=frozenset({"alerted_at"})),
    CannedText: Sight(
        _texts,
        _columns(CannedText, columns(CannedText)),
        filters=frozenset({"phase", "form", "is_active"}),
        orders=frozenset({"phase", "form", "position", "key"}),
        searches=frozenset({"label", "text"}),
    ),
    PhaseEntry: Sight(_internal, _columns(PhaseEntry, columns(PhaseEntry)), orders=frozenset({"entered_at", "id"})),
    RoleAssignment: Sight(
        _roles, _columns(RoleAssignment, frozenset({"incident", "role", "name", "assumed_at", "renounced_at"}))
    ),
    TeamPage: Sight(_pages, _columns(TeamPage, PAGE), orders=frozenset({"paged_at", "id"})),
    Delivery: Sight(_deliveries, _columns(Delivery, SENDING), orders=frozenset({"id"})),
    DeliveryAttempt: Sight(_tries, _columns(DeliveryAttempt, frozenset())),
    Notice: Sight(administrators, for_administrators(Notice)),
    # Whoever has its address or a secret can speak as MajorOps: nobody reads these back.
    Endpoint: Sight(administrators, for_administrators(Endpoint, but=frozenset({"url", "secret", "old_secret"}))),
    Subscription: Sight(_own_subscriptions, lambda viewer, row: columns(Subscription)),
    # Its systems are names from inside.
    StatusComponent: Sight(
        lambda rows, viewer: rows if may(viewer, Can.ADMINISTER) else rows.filter(is_shown=True),
        for_administrators(
            StatusComponent, frozenset({"id", "name", "group", "description", "position", "created_at"})
        ),
        orders=frozenset({"position", "name"}),
    ),
    ExecSummary: Sight(_summaries, _columns(ExecSummary, SUMMARY)),
    ReadReceipt: Sight(_receipts, _columns(ReadReceipt, RECEIPT)),
    BriefVisit: Sight(_own, _columns(BriefVisit, columns(BriefVisit))),
    Participant: Sight(_participants, _columns(Participant, columns(Participant))),
    ReviewSection: Sight(_known, _columns(ReviewSection, columns(ReviewSection))),
    ContributingFactor: Sight(_known, _columns(ContributingFactor, columns(ContributingFactor))),
    LearningReview: Sight(
        _reviews,
        _columns(LearningReview, columns(LearningReview), frozenset({"public_text", "published_at"})),
        filters=frozenset({"state", "due_at"}),
        orders=frozenset({"due_at", "id"}),
    ),
    FollowUp: Sight(
        _of_reviews,
        _columns(FollowUp, columns(FollowUp)),
        filters=frozenset({"state", "due_on", "owner", "priority", "type"}),
        orders=frozenset({"due_on", "id"}),
    ),
    ReviewRevision: Sight(_review_history, _columns(ReviewRevision, columns(ReviewRevision))),
    SurveyInvitation: Sight(_invitations, _columns(SurveyInvitation, columns(SurveyInvitation))),
    SurveyResponse: Sight(_answers, lambda viewer, row: frozenset({"score", "comment", "submitted_at"})),
    IncidentLink: Sight(_links, _link_fields),
    # Whoever has a secret can speak as the source; a body holds whatever the sender put in it.
    IntakeSource: Sight(administrators, for_administrators(IntakeSource, but=frozenset({"secret", "old_secret"}))),
    IntakeEvent: Sight(administrators, for_administrators(IntakeEvent)),
    SourceAlert: Sight(_source_alerts, _columns(SourceAlert, columns(SourceAlert))),
    CalendarFeed: Sight(_own, _columns(CalendarFeed, columns(CalendarFeed))),
}
