"""`mim kpi`, `report` and `fact` on the database: reads what an administrator reads; figures of people stay out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.roles import Role
from incidents.cli_local import incident_called
from kpis import backfills
from kpis.actions import Editor, Running, draft_of, running_of
from kpis.alerts.reading import standings
from kpis.alerts_pages import document as alert_document
from kpis.cli_port import Advance, Document, Span, by_slug, counts_told, no_draft
from kpis.compute import Change, backfill, last_midnight
from kpis.dwell import find
from kpis.dwell_cli import documented as dwell_document
from kpis.errors import KpiNotFound, NoSuchObservation, NoSuchReport
from kpis.exchange import commit, document, documents_of, plan, planned_in_words
from kpis.explain import explain
from kpis.facts import files, ingest, registry
from kpis.facts_api import FactShown
from kpis.models import Fact, KpiDefinition, KpiDefinitionVersion, KpiObservation, Report
from kpis.monitoring.formats import FORMATS
from kpis.packs import files as files_of_packs
from kpis.packs.reading import opened as opened_pack
from kpis.packs.summary import summarised
from kpis.preview import check_not_personal, preview, previewed
from kpis.readiness import NoSuchTeam, asked, board, sheet
from kpis.readiness_exports import beside
from kpis.readiness_exports import documented as readiness_document
from kpis.reasons import documented
from kpis.reports import making
from kpis.reports.kinds import Kind
from kpis.reports.reading import opened, reports_for
from kpis.reports_pages import document as report_document
from kpis.reports_pages import line
from kpis.serializers import DefinitionShown, ObservationShown, RevisionShown
from kpis.standing import Standings
from kpis.targets import Target
from kpis.viewing import NO_WINDOW, figures_of, observations_for, renewed_all, stored_for
from majorops.lib.errors import Invalid
from majorops.lib.terminal import taken_back
from majorops.lib.times import iso
from majorops.lib.ulid import parse_ulid
from majorops.lib.visibility import visible


def operator() -> User:
    """Whoever has a shell and the database password may look at everything. Nobody is stored under this name."""
    return User(email="operator@localhost.invalid", role=Role.ADMIN)


Records = Sequence[tuple[int, Mapping[str, Any] | Invalid]]


class Local:
    def definitions(self) -> list[Document]:
        return _definitions(list(_known().prefetch_related("targets").order_by("slug")))

    def definition(self, slug: str) -> Document:
        found = list(_known().prefetch_related("targets").filter(slug=slug))
        if not found:
            raise KpiNotFound(by_slug(slug, _known().values_list("slug", flat=True)))
        return _definitions(found)[0]

    def versions(self, slug: str) -> list[Document]:
        rows = visible(KpiDefinitionVersion.objects.filter(definition=self.definition(slug)["slug"]), operator())
        found = rows.select_related("changed_by").order_by("-changed_at", "-id")
        return list(RevisionShown(found, many=True).data)

    def contents(self, slugs: Sequence[str]) -> list[Document]:
        found = documents_of(_chosen(slugs))
        _note_export([each.slug for each in found], "yaml")
        return [each.content() for each in found]

    def written_for(self, form: str, slugs: Sequence[str]) -> str:
        chosen = [each.slug for each in _chosen(slugs)]
        _note_export(chosen, form)
        return FORMATS[form](chosen)

    def planned(self, definitions: Sequence[Any]) -> list[Document]:
        return [planned_in_words(each) for each in plan(definitions)]

    def imported(self, definitions: Sequence[Any], *, reason: str, publish: bool) -> list[str]:
        return commit(plan(definitions), Editor(None, timezone.now()), reason=reason, publish_too=publish)

    def previewed(self, slug: str, told: Mapping[str, Any] | None) -> Document:
        definition, running, targets = _from_file(slug, told) if told is not None else _from_draft(slug)
        check_not_personal(definition, {})
        found = preview(definition, running, targets, viewer=operator(), now=timezone.now())
        return previewed(found, "draft" if told is None else "body")

    def computable(self) -> list[str]:
        return list(_known().computable().values_list("slug", flat=True))

    def backfilled(self, slug: str, span: Span, advance: Advance) -> Document:
        [definition], now = _chosen([slug]), timezone.now()
        if span.incident:
            incident = incident_called(span.incident)
            counted = backfills.of_incident(definition, incident.pk, now, dry_run=span.dry_run)
            return counts_told(slug, definition.current_version, {**counted, "as_of": iso(now)})
        as_of, examples = span.end or last_midnight(now), list[Change]()
        counts = backfill(
            definition,
            as_of=as_of,
            start=span.start,
            dry_run=span.dry_run,
            examples=examples,
            resume=span.resume,
            forced_because=span.forced_because,
            advance=advance,
        )
        told = {**asdict(counts), "examples": [str(each) for each in examples], "as_of": iso(as_of)}
        return counts_told(slug, definition.current_version, told)

    def observations(self, slug: str, incident: str, limit: int) -> list[Document]:
        if incident:
            rows = observations_for(operator(), incident_called(incident))
        else:
            rows = visible(KpiObservation.objects.current().samples(), operator())
            rows = rows.select_related("definition_version", "kpi").defer("inputs")
        if slug:
            rows = rows.filter(kpi_id=self.definition(slug)["slug"])
        found = renewed_all(rows.order_by("-timestamp", "-id")[:limit], timezone.now())
        context = {"request": SimpleNamespace(user=operator())}
        return list(ObservationShown(found, many=True, context=context).data)

    def why(self, slug: str, incident: str, observation: str) -> Document:
        found = _observation(slug, incident, observation)
        renewed_all([found], timezone.now())
        return documented(explain(found, operator()))

    def dwell(self, window: str) -> Document:
        return dwell_document(find(operator(), window, timezone.now()))

    def alerts(self) -> list[Document]:
        return [alert_document(each) for each in standings(operator())]

    def readiness(self, slug: str, **said: str) -> Document:
        try:
            return readiness_document(sheet(operator(), slug, asked(timezone.now(), **said)), operator())
        except NoSuchTeam:
            raise NoSuchTeam(f'No team is called "{slug}". Names: mim team readiness') from None

    def readiness_of_all(self, **said: str) -> list[Document]:
        return [beside(record) for record in board(operator(), asked(timezone.now(), **said)).records]

    def made(self, kind: str, *, mail: bool, dry_run: bool) -> tuple[Document, int]:
        now = timezone.now()
        with taken_back() if dry_run else nullcontext():
            report = making.make(Kind(kind), now=now)
            to = making.send(report, now=now) if mail else []
            return report_document(opened(report, operator())), len(to)

    def metrics(self, pack: str) -> Document:
        now = timezone.now()
        if pack:
            return summarised(opened_pack(files_of_packs.pack(pack), operator(), now))
        return making.standing(operator(), now)

    def reports(self) -> list[Document]:
        return [line(row) for row in reports_for(operator())]

    def report(self, id: str) -> Document:
        try:
            row = visible(Report.objects.all(), operator()).get(pk=parse_ulid(id))
        except (ValueError, Report.DoesNotExist):
            raise NoSuchReport from None
        return report_document(opened(row, operator()))

    def facts(self, kind: str, count: int) -> list[Document]:
        rows = visible(Fact.objects.all(), operator())
        newest = (rows.filter(kind=kind) if kind else rows).order_by("-id")[:count]
        return [dict(FactShown(row).data) for row in reversed(newest)]

    def append(self, event: Mapping[str, Any], source: str) -> tuple[Document, bool]:
        fact, is_new = ingest.append(event, source=source or "cli", now=timezone.now())
        return dict(FactShown(fact).data), is_new

    def append_many(self, records: Records, source: str) -> ingest.Report:
        return ingest.append_events(records, source=source, now=timezone.now())

    def valued(self, kind: str, fields: Sequence[tuple[str, str]]) -> dict[str, object]:
        rule = registry.fresh().kinds.get(kind)
        known = rule.schema.fields if rule else {}
        return {name: files.valued(value, known[name].type) if name in known else value for name, value in fields}


def _known() -> Any:
    return visible(KpiDefinition.objects.all(), operator())


def _chosen(slugs: Sequence[str]) -> list[KpiDefinition]:
    """These, or all by slug. Raises KpiNotFound."""
    rows = {each.slug: each for each in _known().prefetch_related("targets").order_by("slug")}
    for slug in slugs:
        if slug not in rows:
            raise KpiNotFound(by_slug(slug, rows))
    return [rows[slug] for slug in dict.fromkeys(slugs)] if slugs else list(rows.values())


def _note_export(slugs: list[str], form: str) -> None:
    audit.record(audit.Action.EXPORT, after={"kpi_definitions": slugs, "format": form})


def _from_draft(slug: str) -> tuple[KpiDefinition, Running, Sequence[Target]]:
    [definition] = _chosen([slug])
    draft = draft_of(definition)
    if draft is None:
        raise no_draft(slug)
    return definition, running_of(draft), list(definition.targets.all())


def _from_file(slug: str, told: Mapping[str, Any]) -> tuple[KpiDefinition, Running, Sequence[Target]]:
    made = document(told)
    definition = _known().filter(pk=slug).first() or KpiDefinition(slug=slug)
    for name, value in made.described.items():
        setattr(definition, name, value)
    return definition, made.running, made.targets


def _definitions(rows: list[KpiDefinition]) -> list[Document]:
    figures = figures_of(rows, operator(), Standings(rows, timezone.now()))
    return list(DefinitionShown(rows, many=True, context={"figures": figures}).data)


def _observation(slug: str, incident: str, observation: str) -> KpiObservation:
    definition = _known().filter(slug=slug).first()
    if definition is None:
        raise KpiNotFound(by_slug(slug, _known().values_list("slug", flat=True)))
    rows = stored_for(operator()).filter(kpi=slug)
    try:
        if observation:
            rows = rows.filter(pk=parse_ulid(observation))
        elif incident:
            rows = rows.filter(incident=parse_ulid(incident), window="", is_current=True)
        else:
            window = ((definition.spec or {}).get("windows") or [NO_WINDOW])[0]
            rows = rows.filter(window=window, dims_key="", is_current=True)
    except ValueError:
        raise Invalid("An id has 26 letters and digits, e.g. 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E.") from None
    found = rows.order_by("-timestamp", "-pk").first()
    if found is None:
        raise NoSuchObservation(f"{slug} has no such value. Compute it first: mim kpi backfill --kpi {slug}")
    return found
