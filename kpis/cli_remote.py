"""`mim kpi`, `report` and `fact` over the API, by a program with a token."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incidents.cli_remote import Remote as Incidents
from kpis.cli_port import Advance, Document, Span, by_slug, counts_told, no_draft
from kpis.errors import KpiNotFound, NoSuchObservation, NoSuchReport, NoValuesOfIncidents
from kpis.facts.ingest import Report
from kpis.readiness import NoSuchTeam
from majorops.lib.errors import DomainError, Invalid
from majorops.lib.problems import camel
from majorops.lib.remote import Answer, DatabaseOnly, Refused, Server, wire
from majorops.lib.times import iso
from majorops.lib.ulid import parse_ulid

NOT_FOUND = 404
Records = Sequence[tuple[int, Mapping[str, Any] | Invalid]]


#: Seconds between two looks at a computation, and how long none may move before it is left to itself.
GLANCE, PATIENCE = 0.5, 60.0


class StillQueued(DomainError):
    """No worker has computed it yet."""

    code = "still_queued"
    status = 503

    @classmethod
    def said(cls, job: Mapping[str, Any]) -> StillQueued:
        return cls(
            f"{job['kpi']} waits as task {job['job']}, and no worker goes on with it. It will be done when one runs: "
            f"mim doctor tells why none does, mim kpi show {job['kpi']} what came of it."
        )


def _is_of(run: Mapping[str, Any], queued: Answer) -> bool:
    if run["trigger"] != "api" or run["asOf"] != queued.document["end"]:
        return False
    # An answer knows its time to the second.
    return run["endedAt"] is None or run["endedAt"][:19] >= str(iso(queued.at))[:19]


def _told(definition: Mapping[str, Any], counted: Mapping[str, Any], as_of: str) -> Document:
    named = {**counted, "without_value": counted["withoutValue"], "as_of": as_of}
    return counts_told(definition["slug"], definition["version"], named)


@dataclass(frozen=True, slots=True)
class Remote:
    server: Server

    def definitions(self) -> list[Document]:
        return list(self.server.rows("kpis"))

    def definition(self, slug: str) -> Document:
        found = self._get(f"kpis/{slug}")
        if found is None:
            raise KpiNotFound(by_slug(slug, (each["slug"] for each in self.definitions())))
        return dict(found)

    def versions(self, slug: str) -> list[Document]:
        return self.server.rows(f"kpis/{self.definition(slug)['slug']}/revisions")

    def contents(self, slugs: Sequence[str]) -> list[Document]:
        rows = {row["slug"]: row for row in self.server.rows("kpi-definitions")}
        for slug in slugs:
            if slug not in rows:
                raise KpiNotFound(by_slug(slug, rows))
        return [rows[slug] for slug in dict.fromkeys(slugs)] if slugs else list(rows.values())

    def written_for(self, form: str, slugs: Sequence[str]) -> str:
        for slug in slugs:
            self.definition(slug)
        return str(self.server.get(f"kpi-definitions/for/{form}", kpi=",".join(slugs))["text"])

    def planned(self, definitions: Sequence[Any]) -> list[Document]:
        return list(self._imported(definitions, dry_run=True)["planned"])

    def imported(self, definitions: Sequence[Any], *, reason: str, publish: bool) -> list[str]:
        return list(self._imported(definitions, reason=reason, publish=publish)["saved"])

    def _imported(self, definitions: Sequence[Any], **said: object) -> Any:
        # The names in a definition are those of its file, whatever the rest of the body is written in.
        body = json.dumps({"definitions": definitions, **wire(said)}, ensure_ascii=False)
        return self.server.ask("POST", "kpi-definitions", body.encode()).document

    def previewed(self, slug: str, told: Mapping[str, Any] | None) -> Document:
        if told is None:
            self.definition(slug)
        named = {name: value for name, value in (told or {}).items() if name != "slug"}
        body = {camel(name): value for name, value in named.items()}
        found = self.server.ask("POST", f"kpis/{slug}/preview", json.dumps(body, ensure_ascii=False).encode()).document
        if told is None and found["of"] == "running":
            raise no_draft(slug)
        return dict(found)

    def computable(self) -> list[str]:
        active = {row["slug"] for row in self.definitions() if row["status"] == "active"}
        return [row["slug"] for row in self.contents(()) if row["spec"] is not None and row["slug"] in active]

    def backfilled(self, slug: str, span: Span, advance: Advance) -> Document:
        if span.forced_because:
            raise DatabaseOnly.said("--force")
        definition, place = self.definition(slug), f"kpis/{slug}/backfill"
        said: dict[str, object] = {name: at for name, at in (("start", span.start), ("end", span.end)) if at}
        if span.incident:
            said["incident"] = Incidents(self.server).one(span.incident)["id"]
            try:
                answer = self.server.post(place, {**said, "dry_run": span.dry_run})
            except Refused as refused:
                raise NoValuesOfIncidents if refused.code == NoValuesOfIncidents.code else refused from None
            return _told(definition, answer.document, str(iso(answer.at)))
        # The run keeps counts, and not why rows have no value: that is counted first.
        counted = self.server.post(place, {**said, "dry_run": True}).document
        if span.dry_run:
            return _told(definition, counted, "")
        queued = self.server.post(place, said)
        run = self._awaited(place, queued, advance)
        return _told(definition, {**counted, **run}, queued.document["end"])

    def _awaited(self, place: str, queued: Answer, advance: Advance) -> Mapping[str, Any]:
        """The run that a worker made of a queued task. Raises StillQueued where none moves for a while."""
        seen, patience = "", PATIENCE
        while patience > 0:
            run = next((row for row in self.server.rows(place, 5) if _is_of(row, queued)), None)
            if run is not None and run["outcome"]:
                return dict(run)
            moved = json.dumps(run and [run["id"], run["progress"]])
            patience, seen = (PATIENCE if moved != seen else patience - GLANCE), moved
            if run is not None and run["progress"]:
                advance(run["progress"]["done"], run["progress"]["total"])
            time.sleep(GLANCE)
        raise StillQueued.said(queued.document)

    def observations(self, slug: str, incident: str, limit: int) -> list[Document]:
        place = f"incidents/{Incidents(self.server).one(incident)['id']}/kpis" if incident else "observations"
        if slug:
            self.definition(slug)
        return list(self.server.rows(place, limit, kpi=slug))

    def why(self, slug: str, incident: str, observation: str) -> Document:
        definition = self.definition(slug)
        try:
            chosen = parse_ulid(observation) if observation else ""
            about = parse_ulid(incident) if incident else ""
        except ValueError:
            raise Invalid("An id has 26 letters and digits, e.g. 01JD8Q6Z6ZJ5C0M5RKVX9T3W4E.") from None
        if not chosen and not about:
            chosen = definition["latest"]["observation"] or ""
        elif about:
            rows = self._get(f"incidents/{about}/kpis", kpi=slug) or {"results": []}
            chosen = next((row["id"] for row in rows["results"] if not row["window"]), "")
        found = self._get(f"kpis/{slug}/observations/{chosen}/rows") if chosen else None
        if found is None:
            raise NoSuchObservation(f"{slug} has no such value. Compute it first: mim kpi backfill --kpi {slug}")
        return dict(found)

    def dwell(self, window: str) -> Document:
        return dict(self.server.get("phase-dwell", window=window))

    def alerts(self) -> list[Document]:
        return list(self.server.rows("kpi-alerts"))

    def readiness(self, slug: str, **said: str) -> Document:
        found = self._get(f"teams/{slug}/readiness", **said)
        if found is None:
            raise NoSuchTeam(f'No team is called "{slug}". Names: mim team list')
        return dict(found)

    def readiness_of_all(self, **said: str) -> list[Document]:
        return list(self.server.rows("readiness", None, **said))

    def made(self, kind: str, *, mail: bool, dry_run: bool) -> tuple[Document, int]:
        if dry_run:
            raise DatabaseOnly.said("--dry-run of a change")
        told = self.server.post("reports", {"kind": kind, "mail": mail}).document
        return {name: value for name, value in told.items() if name != "mailed"}, told["mailed"]

    def metrics(self, pack: str) -> Document:
        return dict(self.server.get("reports/metrics", pack=pack))

    def reports(self) -> list[Document]:
        return list(self.server.rows("reports", 100))

    def report(self, id: str) -> Document:
        try:
            found = self._get(f"reports/{parse_ulid(id)}")
        except ValueError:
            found = None
        if found is None:
            raise NoSuchReport
        return dict(found)

    def facts(self, kind: str, count: int) -> list[Document]:
        return self.server.rows("facts", count, kind=kind)[::-1]

    def append(self, event: Mapping[str, Any], source: str) -> tuple[Document, bool]:
        if source:
            raise DatabaseOnly.said("--source")
        answer = self.server.ask("POST", "facts", json.dumps(event).encode())
        return answer.document, answer.status == 201

    def append_many(self, records: Records, source: str) -> Report:
        """What the server finds wrong with a line is told under the number that it has in the file."""
        report, sound = Report(received=len(records)), []
        for number, event in records:
            if isinstance(event, Invalid):
                report.reject(number, event.code, event.message)
            else:
                sound.append((number, json.dumps(event, ensure_ascii=False)))
        if sound:
            body = "\n".join(line for _, line in sound).encode()
            answer = self.server.ask("POST", "facts/bulk", body, media_type="application/x-ndjson").document
            for name in ("inserted", "duplicate", "parked"):
                setattr(report, name, answer[name])
            for each in answer["errors"]:
                report.reject(sound[each["line"] - 1][0], each["code"], each["reason"])
        report.errors.sort(key=lambda error: error.line)
        return report

    def valued(self, kind: str, fields: Sequence[tuple[str, str]]) -> dict[str, object]:
        return dict(fields)  # nobody here knows the kind: what is no text is written name:=value

    def _get(self, path: str, **query: object) -> Any:
        """None for what is not there, or not for this token."""
        try:
            return self.server.get(path, **query)
        except Refused as refused:
            if refused.status != NOT_FOUND:
                raise
            return None
