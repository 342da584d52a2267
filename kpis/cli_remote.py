"""`mim kpi`, `report` and `fact` over the API, by a program with a token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incidents.cli_remote import Remote as Incidents
from kpis.cli_port import Document, by_slug
from kpis.errors import KpiNotFound, NoSuchObservation, NoSuchReport
from kpis.facts.ingest import Report
from kpis.readiness import NoSuchTeam
from majorops.lib.errors import Invalid
from majorops.lib.remote import DatabaseOnly, Refused, Server
from majorops.lib.ulid import parse_ulid

NOT_FOUND = 404
Records = Sequence[tuple[int, Mapping[str, Any] | Invalid]]


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

    def alerts(self) -> list[Document]:
        return list(self.server.rows("kpi-alerts"))

    def readiness(self, slug: str, **said: str) -> Document:
        found = self._get(f"teams/{slug}/readiness", **said)
        if found is None:
            raise NoSuchTeam(f'No team is called "{slug}". Names: mim team list')
        return dict(found)

    def readiness_of_all(self, **said: str) -> list[Document]:
        return list(self.server.rows("readiness", **said))

    def made(self, kind: str, *, mail: bool, dry_run: bool) -> tuple[Document, int]:
        if dry_run:
            raise DatabaseOnly.said("--dry-run of a change")
        told = self.server.post("reports", {"kind": kind, "mail": mail}).document
        return {name: value for name, value in told.items() if name != "mailed"}, told["mailed"]

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
