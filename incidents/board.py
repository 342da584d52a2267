"""What the incident pages show, computed from rows and `now`. Templates only lay it out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Window

from accounts.models import User
from accounts.visibility import Viewer
from incidents import clock, sending, words
from incidents.audience import Audience
from incidents.badges import Badge, due_badge, severity_badge
from incidents.canned import Canned, fill, holes
from incidents.clock import NextUpdate
from incidents.lifecycle import PHASE_HELP, CommandRole, Kind, Phase, Status
from incidents.logbook import Entry, LogRow, Reader, entry_of, log_rows, with_corrections
from incidents.models import CannedText, Incident, Milestone, PhaseEntry, TeamPage
from incidents.promises import Promised, Tally, promises, tally
from majorops.lib.visibility import readable, visible

#: The page shows the newest entries; the rest is one click away.
ENTRIES_SHOWN = 40
#: How many lines of the log a milestone is offered to quote.
LINES_OFFERED = 8
#: A team that is this many times its limit late is not coming by itself: call again or call another.
NO_SHOW = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One incident in a list."""

    incident: Incident
    severity: Badge
    due: Badge
    lasted: timedelta
    kind: str


def rows(incidents: Iterable[Incident], now: datetime) -> list[Row]:
    return [
        Row(
            incident=incident,
            severity=severity_badge(incident.severity),
            due=due_badge(incident.next_update_eta, now),
            lasted=clock.elapsed(incident.detected_at, now, incident.resolved_at),
            kind="" if incident.kind == Kind.REAL else Kind(incident.kind).label,
        )
        for incident in incidents
    ]


# --- Phases ---


@dataclass(frozen=True, slots=True)
class Step:
    """One phase of the stepper. `spent` adds up every stay; None where the times contradict each other."""

    number: int
    label: str
    help: str
    state: str
    spent: timedelta | None = None
    visits: int = 0
    #: Of the phase that goes on: from when on its clock would have run without a break.
    running_since: datetime | None = None

    @property
    def short(self) -> str:
        return self.label.split()[0]


def steps(incident: Incident, entries: Sequence[PhaseEntry], now: datetime) -> list[Step]:
    """All eight phases. Without `entries` (an audience that does not see the log) only the current one is marked."""
    until = incident.resolved_at or now
    stays: dict[int, list[timedelta]] = {}
    left = [*(later.entered_at for later in entries[1:]), until]
    for entry, left_at in zip(entries, left, strict=False):
        stays.setdefault(entry.phase_number, []).append(left_at - entry.entered_at)
    return [_step(phase, incident, stays, now) for phase in Phase]


def next_phase(incident: Incident) -> Phase | None:
    """Where one click leads; None from Validation on, for Resolution is reached by resolving."""
    return Phase(incident.phase + 1) if incident.is_open and incident.phase < Phase.VALIDATION else None


def _step(phase: Phase, incident: Incident, stays: dict[int, list[timedelta]], now: datetime) -> Step:
    stayed = stays.get(phase, [])
    passed = "skipped" if stays and not stayed else "done"
    state = "current" if phase == incident.phase else passed if phase < incident.phase or stayed else "ahead"
    known = bool(stayed) and phase != Phase.RESOLUTION and all(stay >= timedelta() for stay in stayed)
    spent = sum(stayed, timedelta()) if known else None
    return Step(
        number=phase.value,
        label=phase.label,
        help=PHASE_HELP[phase],
        state=state,
        spent=spent,
        visits=len(stayed),
        running_since=now - spent if spent is not None and state == "current" and incident.is_open else None,
    )


# --- Teams and roles ---


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One dispatch: paged, acknowledged, on the bridge against the limit of its box."""

    id: str
    team: str
    level: str
    limit: int | None
    contact: str
    paged_at: datetime
    calls: int
    acknowledged_after: timedelta | None
    arrived_after: timedelta | None
    #: In time, late, waiting, no-show, stood down, did not come: a tone, a shape and a word.
    bridge: Badge
    is_waiting: bool
    #: This viewer may record its acknowledgement and arrival.
    may_answer: bool
    #: Whether the message to the team went out; empty where none is sent.
    sending: str = ""
    form: Any = None
    stand_down: Any = None


def team_row(page: TeamPage, now: datetime, closed_at: datetime | None, *, may_answer: bool) -> TeamRow:
    is_waiting = page.arrived_at is None and page.cancelled_at is None and closed_at is None
    return TeamRow(
        id=page.pk,
        team=page.team.name,
        level=page.get_alarm_level_display() or "no box",
        limit=page.bridge_minutes,
        contact=page.contact_name,
        paged_at=page.paged_at,
        calls=page.page_count,
        acknowledged_after=page.time_to_acknowledge,
        arrived_after=page.time_to_bridge,
        bridge=_bridge(page, now, closed_at),
        is_waiting=is_waiting,
        may_answer=is_waiting and may_answer,
        sending=sending.WORDS.get(getattr(page, "sending_state", ""), ""),
    )


def team_rows(incident: Incident, user: User, audience: Audience, now: datetime) -> list[TeamRow]:
    """Every dispatch: those still awaited first, then in the order they were paged."""
    if not audience.reads_teams:
        return []
    is_own = Exists(user.teams.filter(pk=OuterRef("team")))
    pages = visible(incident.team_pages.select_related("team"), user)
    pages = pages.annotate(sending_state=sending.state_of_page(user), is_own=is_own)
    rows = [team_row(page, now, incident.resolved_at, may_answer=audience.may_command or page.is_own) for page in pages]
    return sorted(rows, key=lambda row: (not row.is_waiting, row.paged_at))


def _bridge(page: TeamPage, now: datetime, closed_at: datetime | None) -> Badge:
    """On the bridge in time or late; still awaited, within the limit, past it, or far past it."""
    if page.cancelled_at:
        return Badge("", "", "stood down")
    waited = (page.arrived_at or closed_at or now) - page.paged_at
    limit = None if page.bridge_minutes is None else timedelta(minutes=page.bridge_minutes)
    is_late = limit is not None and waited > limit
    if page.arrived_at:
        return Badge("bad", "✕", "late") if is_late else Badge("good", "✓", "in time" if limit else "here")
    if closed_at:
        return Badge("bad", "✕", "did not come")
    if limit is not None and waited > NO_SHOW * limit:
        return Badge("bad", "✕", "no-show")
    return Badge("bad", "✕", "late") if is_late else Badge("warn", "!", "waiting")


@dataclass(frozen=True, slots=True)
class RoleRow:
    role: str
    label: str
    holder: str
    is_me: bool


def role_rows(incident: Incident, user: User) -> list[RoleRow]:
    held = [(role, incident.holder(role)) for role in CommandRole]
    return [RoleRow(role.value, role.label, str(holder or ""), holder == user) for role, holder in held]


# --- Milestones and the five figures ---


def promise_ledger(
    incident: Incident, milestones: Sequence[Milestone], viewer: Viewer, now: datetime
) -> list[Promised[Milestone]]:
    """What became of each promise, as far as the viewer reads the milestones and their moves."""
    if not milestones:
        return []
    moves = visible(incident.promise_moves.order_by("recorded_at", "id"), viewer)
    return list(promises(milestones, now, moves))


def promises_kept(
    incident: Incident, milestones: Sequence[Milestone], viewer: Viewer, now: datetime
) -> tuple[int, int]:
    """(kept, judged) of the promises that have come due."""
    promised = tally(promise_ledger(incident, milestones, viewer, now), now)
    return promised.kept, promised.judged


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the five derived figures. They are never stored."""

    label: str
    value: str
    why: str = ""
    is_minor: bool = False
    #: From when on it runs, while it runs.
    since: datetime | None = None


def figures(incident: Incident, updates: int, now: datetime, readable: Collection[str]) -> list[Figure]:
    """Those of the five this audience reads. Total and impact stop when the incident, or the alert, is over."""
    over_at = incident.resolve_time or incident.resolved_at
    impact, count = clock.impact(incident.issue_time, now, over_at), incident.customer_count
    phase = Phase(incident.phase)
    total = clock.elapsed(incident.detected_at, now, incident.resolved_at)
    shown = [Figure("Total", words.clock(total), since=incident.detected_at if incident.is_open else None)]
    if "issue_time" in readable:
        why = "" if impact is not None else "no alert time"
        shown.append(Figure("Impact", words.clock(impact), why, since=None if over_at else incident.issue_time))
    if "customer_count" in readable:
        shown.append(Figure("Affected", words.number(count), "" if count is not None else "not known"))
    shown.append(Figure("Phase", f"{phase.value} of 8 · {phase.label.split()[0]}", is_minor=True))
    shown.append(Figure("Updates", str(updates), is_minor=True))
    return shown


# --- The facts ---


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value; an empty one says so. Long texts stand alone."""

    name: str
    label: str
    text: str = ""
    at: datetime | None = None
    is_long: bool = False
    #: To change it in place, for those who may.
    field: Any = None


IMPACT = (
    ("description", "What is wrong", True),
    ("customer_impact_summary", "Customer impact", True),
    ("business_impact", "Business impact", True),
    ("exec_summary", "Executive summary", True),
    ("decision_asked", "Decision asked of executives", True),
    ("audience_notes", "Notes for the audience", True),
    ("customer_count", "Customers affected", False),
    ("external_impact", "Felt by customers", False),
    ("risk_level", "Risk", False),
    ("affected_systems", "Affected systems", False),
)
ALERT = (
    ("alert_source", "Source", False),
    ("alert_id", "Alert", False),
    ("issue_time", "Fired", False),
    ("resolve_time", "Cleared", False),
)
#: What the incident is, and who gets to know of it.
BASICS = (
    ("title", "Title", False),
    ("severity", "Severity", False),
    ("bridge_url", "Bridge link", False),
    ("restricted", "Restricted", False),
    ("publish_status", "On the status page", False),
    ("public_title", "Its title there", False),
)


def facts(incident: Incident, names: Iterable[tuple[str, str, bool]], readable: Collection[str]) -> list[Fact]:
    """The named fields that this audience reads."""
    return [_fact(incident, name, label, is_long) for name, label, is_long in names if name in readable]


def _fact(incident: Incident, name: str, label: str, is_long: bool) -> Fact:
    value = getattr(incident, name)
    if isinstance(value, datetime):
        return Fact(name, label, at=value)
    if isinstance(value, list):
        return Fact(name, label, ", ".join(map(str, value)))
    if isinstance(value, bool):
        return Fact(name, label, "Yes" if value else "No")
    if isinstance(value, int):
        return Fact(name, label, words.number(value))
    display = getattr(incident, f"get_{name}_display", None)
    return Fact(name, label, display() if display else value or "", is_long=is_long)


# --- The beginning and the end ---


@dataclass(frozen=True, slots=True)
class FirstStep:
    text: str
    anchor: str
    is_done: bool


def first_steps(incident: Incident, teams: Sequence[TeamRow], milestones: Sequence[Milestone]) -> list[FirstStep]:
    """What a new incident needs; gone once it has everything, or has come as far as the first communication."""
    steps = [
        FirstStep("Take command", "live-command", incident.mim_id is not None),
        FirstStep("Page the team that can fix it", "call-team", bool(teams)),
        FirstStep("Add the bridge link", "facts-bridge_url", bool(incident.bridge_url)),
        FirstStep("Cut the first milestone and promise the next", "milestone-title", bool(milestones)),
    ]
    over = not incident.is_open or incident.phase > Phase.INITIAL or all(step.is_done for step in steps)
    return [] if over else steps


# --- What the composer begins with ---


@dataclass(frozen=True, slots=True)
class Line:
    """An entry that a milestone may quote."""

    id: str
    text: str
    is_public: bool
    at: datetime


def quotable(entries: Sequence[Entry], since: datetime | None) -> list[Line]:
    """What people wrote since the last milestone, oldest first: as it reads now, corrections followed."""
    written = [entry for entry in entries if entry.type in ("action", "alert") and (since is None or entry.at > since)]
    newest = written[:LINES_OFFERED]
    return [quoted_line(entry) for entry in reversed(newest)]


def quoted_line(entry: Entry) -> Line:
    """The entry as a milestone quotes it."""
    reads = entry.latest.title if entry.latest else entry.title
    return Line(entry.id, f"{words.clock_time(entry.at)} {reads}", entry.audience != "internal", entry.at)


# --- The whole page ---


@dataclass(frozen=True, slots=True)
class Board:
    """Everything the command page shows to one viewer."""

    incident: Incident
    audience: Audience
    viewer: User
    now: datetime
    severity: Badge
    due: Badge
    promise: NextUpdate
    kind: str
    elapsed: timedelta
    #: How the promises were kept so far.
    promised: Tally
    steps: list[Step]
    next_phase: Phase | None
    log: list[LogRow]
    entries: int
    teams: list[TeamRow]
    roles: list[RoleRow]
    milestones: list[Milestone]
    first_steps: list[FirstStep]
    impact: list[Fact]
    alert: list[Fact]
    basics: list[Fact]
    figures: list[Figure]
    #: What a milestone may quote, and texts to begin with.
    lines: list[Line]
    canned: list[Canned]
    entries_shown: int = field(default=ENTRIES_SHOWN)

    @property
    def is_overdue(self) -> bool:
        return self.due.tone == "over" and self.incident.is_open

    @property
    def has_older(self) -> bool:
        return self.entries > self.entries_shown


def board(incident: Incident, user: User, audience: Audience, now: datetime) -> Board:
    """The page for this viewer, of an incident from `incidents_for`. Its number of queries never grows with the log."""
    internal, seen = audience.reads_internal, readable(Incident, user, incident)
    milestones = list(visible(incident.milestones.order_by("sequence"), user))
    visits = list(visible(incident.phase_entries.order_by("entered_at", "id"), user)) if internal else []
    promised = tally(promise_ledger(incident, milestones, user, now), now)
    originals = visible(incident.timeline.filter(corrects=None), user)
    newest = list(with_corrections(originals, user).annotate(of=Window(Count("pk")))[:ENTRIES_SHOWN])
    entries = [entry_of(event, Reader(user, audience)) for event in newest]
    teams = team_rows(incident, user, audience, now)
    quiet_until = now if incident.is_open else incident.resolved_at
    return Board(
        incident=incident,
        audience=audience,
        viewer=user,
        now=now,
        severity=severity_badge(incident.severity),
        due=due_badge(incident.next_update_eta, now),
        promise=clock.next_update(incident.next_update_eta, now),
        kind="" if incident.kind == Kind.REAL else Kind(incident.kind).label,
        elapsed=clock.elapsed(incident.detected_at, now, incident.resolved_at),
        promised=promised,
        steps=steps(incident, visits, now),
        next_phase=next_phase(incident),
        log=log_rows(entries, visits, silence_until=quiet_until if internal else None),
        entries=newest[0].of if newest else 0,  # type: ignore[attr-defined]
        teams=teams,
        roles=role_rows(incident, user),
        milestones=milestones[::-1],
        first_steps=first_steps(incident, teams, milestones) if audience.may_command else [],
        impact=facts(incident, IMPACT, seen),
        alert=facts(incident, ALERT, seen),
        basics=facts(incident, BASICS, seen) if audience.may_command else [],
        figures=figures(incident, incident.updates_posted, now, seen),  # type: ignore[attr-defined]
        lines=quotable(entries, milestones[-1].created_at if milestones else None) if audience.may_command else [],
        canned=canned_texts(incident, user) if audience.may_command else [],
    )


def canned_texts(incident: Incident, viewer: User) -> list[Canned]:
    """Texts to begin with that fit the phase, filled as far as the incident tells. None once it is over."""
    known = holes(
        title=incident.title,
        systems=incident.affected_systems,
        impact=incident.customer_impact_summary,
        severity=incident.get_severity_display(),
        phase=incident.get_phase_display(),
    )
    rows = visible(CannedText.objects.filter(phase=incident.phase, is_active=True), viewer)
    return [Canned(row.key, row.form, row.label, fill(row.text, known)) for row in rows]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something still missing before the incident can be closed in good order."""

    text: str
    anchor: str


def missing_before_resolve(incident: Incident, viewer: User) -> list[Gap]:
    """What a tidy resolution has and this incident has not. It may be resolved all the same."""
    checks = [
        (incident.status != Status.MONITORING, "It was not watched in Monitoring.", "live-head"),
        (incident.customer_count is None, "The number of affected customers is not known.", "live-impact"),
        (not incident.customer_impact_summary, "The customer impact is not described.", "live-impact"),
        (
            incident.issue_time is None,
            "There is no alert time, so impact and time to acknowledge stay unknown.",
            "facts-issue_time",
        ),
        (visible(incident.team_pages.waiting(), viewer).exists(), "A paged team is still awaited.", "live-teams"),
        (incident.mim_id is None, "Nobody is in command.", "live-command"),
    ]
    return [Gap(text, anchor) for is_missing, text, anchor in checks if is_missing]
