"""The log: what is found, in which order, under which address, and what leaves as a file."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from incidents.exports import cell, escaped
from incidents.models import Incident, TimelineEvent
from tests.cast import Knock
from tests.factories import NOON, IncidentFactory, PhaseEntryFactory, TimelineEventFactory, at
from tests.pages import Page


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    moment = at("13:00")
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
    return moment


def entry(incident: Incident, title: str, when: str, **columns: Any) -> TimelineEvent:
    moment = at(when)
    event: TimelineEvent = TimelineEventFactory(
        incident=incident, title=title, **{"occurred_at": moment, "recorded_at": moment, **columns}
    )
    return event


@pytest.fixture
def incident() -> Incident:
    """A quarter of an hour in Alert, then Gather, Assess and Gather again."""
    incident: Incident = IncidentFactory(title="Checkout fails", phase=2)
    for minute, phase in ((15, 2), (30, 3), (40, 2)):
        moment = NOON + timedelta(minutes=minute)
        PhaseEntryFactory(incident=incident, phase_number=phase, entered_at=moment, event__title=f"Into {phase}")
    entry(incident, "Lag is 900 s", "12:05", actor="A. Kim")
    entry(incident, "Told partners", "12:20", visibility=None, description="by phone")
    entry(incident, "Update posted", "12:32", type="update", visibility="public")
    entry(incident, "Milestone 1: Known", "12:45", type="update", visibility="public", actor="R. Okafor")
    return incident


TITLES = ("Lag is 900 s", "Into 2", "Told partners", "Into 3", "Update posted", "Milestone 1: Known")


def found(html: str) -> list[str]:
    return [title for title in TITLES if f">{title}<" in html]


def address(incident: Incident, rest: str = "") -> str:
    return f"/incidents/{incident.pk}/log{rest}"


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", list(TITLES)),
        ("type=phase", ["Into 2", "Into 3"]),
        ("only=milestones", ["Milestone 1: Known"]),
        ("audience=both", ["Told partners"]),
        ("audience=public", ["Update posted", "Milestone 1: Known"]),
        ("actor=R. Okafor", ["Milestone 1: Known"]),
        ("q=PHONE", ["Told partners"]),
        ("phase=3", ["Into 3", "Update posted"]),
        ("phase=2", ["Into 2", "Told partners", "Milestone 1: Known"]),
        ("phase=2&type=update", ["Milestone 1: Known"]),
        ("phase=7", []),
    ],
)
def test_log_is_filtered_by_the_address(
    page_as: Knock, mim: User, incident: Incident, query: str, titles: list[str]
) -> None:
    answer = page_as(mim).get(address(incident, f"?{query}"))
    assert (answer.status_code, Page(answer.content.decode()).faults) == (200, [])
    assert found(answer.content.decode()) == titles


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("kind=x", "There is no filter kind. There are: q, type, only, audience, phase, actor."),
        ("type=party", "There is no type party."),
        ("actor=Nobody", "There is no actor Nobody."),
        ("order=sideways", "sideways is not one of the available choices."),
    ],
)
def test_unknown_filter_is_refused(page_as: Knock, mim: User, incident: Incident, query: str, sentence: str) -> None:
    for rest in (f"?{query}", f".csv?{query}"):
        answer = page_as(mim).get(address(incident, rest))
        assert answer.status_code == 400
        assert sentence in Page(answer.content.decode()).text or query.startswith("order")


def test_stakeholder_is_offered_no_filter_by_what_they_do_not_read(
    page_as: Knock, stakeholder: User, incident: Incident
) -> None:
    browser = page_as(stakeholder)
    html = browser.get(address(incident)).content.decode()
    assert found(html) == ["Told partners", "Update posted", "Milestone 1: Known"]
    assert "without an entry" not in html
    for query in ("phase=2", "audience=internal", "actor=A. Kim "):
        assert browser.get(address(incident, f"?{query}")).status_code == 400


def test_text_finds_what_a_correction_says(page_as: Knock, mim: User, incident: Incident) -> None:
    lag = TimelineEvent.objects.get(title="Lag is 900 s")
    entry(incident, "Lag is 90 s", "12:50", corrects=lag)
    html = page_as(mim).get(address(incident, "?q=90 s")).content.decode()
    assert "<s>Lag is 900 s</s>" in html
    assert html.count('class="entry') == 1


def test_oldest_first_turns_the_log_around(page_as: Knock, mim: User, incident: Incident) -> None:
    newest, oldest = (
        Page(page_as(mim).get(address(incident, query)).content.decode()).text for query in ("", "?order=oldest")
    )
    assert newest.index("Phase 2 · Gather") < newest.index("Known") < newest.index("Into 3") < newest.index("Lag is")
    assert oldest.index("Lag is") < oldest.index("Into 3") < oldest.index("Known")
    assert "15 min without an entry" not in newest
    entry(incident, "Late", "13:00")
    entry(incident, "Never mind", "13:16", visibility="internal")
    for query in ("", "?order=oldest"):
        assert "16 min without an entry" in page_as(mim).get(address(incident, query)).content.decode()


def test_silence_up_to_now_is_shown_while_it_goes_on(
    page_as: Knock, mim: User, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: at("13:05"))
    assert "20 min without an entry" in page_as(mim).get(address(incident)).content.decode()
    for query in ("?type=update", "?order=oldest"):
        assert "without an entry" not in page_as(mim).get(address(incident, query)).content.decode()


def many(incident: Incident, count: int) -> list[TimelineEvent]:
    rows = [
        TimelineEventFactory.build(incident=incident, title=f"Entry {n}", occurred_at=NOON + timedelta(seconds=n // 2))
        for n in range(count)
    ]
    return TimelineEvent.objects.bulk_create(rows)


def test_log_costs_the_same_for_many(
    page_as: Knock, mim: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    incident = IncidentFactory()
    for row in many(incident, 450)[::50]:
        entry(incident, "Better", "12:59", corrects=row)
    browser = page_as(mim)
    browser.get(address(incident))
    for query in ("", "?page=2", "?q=Entry&order=oldest"):
        with django_assert_max_num_queries(10):
            html = browser.get(address(incident, query)).content.decode()
        assert html.count('class="entry') == 200


def test_every_entry_has_an_address_that_lasts(page_as: Knock, mim: User) -> None:
    """Two entries have the same time, and the pages end between such two."""
    incident, browser = IncidentFactory(), page_as(mim)
    rows = many(incident, 402)
    for row in (rows[0], rows[1], rows[2], rows[201], rows[202], rows[401]):
        leads_to = browser.get(address(incident, f"/{row.pk}"))["Location"]
        page, _, anchor = leads_to.partition("#")
        assert anchor == f"e-{row.pk}"
        assert f'id="{anchor}"' in browser.get(page).content.decode()


def test_address_of_a_correction_leads_to_its_original(page_as: Knock, mim: User, incident: Incident) -> None:
    lag = TimelineEvent.objects.get(title="Lag is 900 s")
    better = entry(incident, "Lag is 90 s", "12:50", corrects=lag)
    assert page_as(mim).get(address(incident, f"/{better.pk}"))["Location"] == address(incident, f"#e-{lag.pk}")


def test_entry_of_others_is_not_found(page_as: Knock, mim: User, stakeholder: User, incident: Incident) -> None:
    internal, elsewhere = TimelineEvent.objects.get(title="Lag is 900 s"), TimelineEventFactory()
    assert page_as(stakeholder).get(address(incident, f"/{internal.pk}")).status_code == 404
    assert page_as(mim).get(address(incident, f"/{elsewhere.pk}")).status_code == 404


# --- Files ---


def taken(browser: Any, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    assert answer.streaming
    return str(answer.getvalue().decode())


def test_csv_has_what_the_filter_shows(page_as: Knock, mim: User, incident: Incident) -> None:
    lag = TimelineEvent.objects.get(title="Lag is 900 s")
    entry(incident, "=HYPERLINK(1)", "12:50", corrects=lag)
    rows = list(csv.DictReader(io.StringIO(taken(page_as(mim), address(incident, ".csv?actor=A. Kim&order=oldest")))))
    first, second, told = rows[0], rows[1], rows[3]
    assert (first["title"], first["timestamp"], first["corrects"]) == ("Lag is 900 s", "2026-03-02T12:05:00.000Z", "")
    assert (second["title"], second["corrects"]) == ("'=HYPERLINK(1)", lag.pk)
    assert (told["title"], told["visibility"]) == ("Told partners", "both")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r1", "＝1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["Lag is -1", "a=b", "", 5, -5, None])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert cell(value) == value


def test_json_speaks_as_the_api_does(page_as: Knock, client_as: Knock, mim: User, incident: Incident) -> None:
    told = json.loads(taken(page_as(mim), address(incident, ".json?type=update")))
    api = client_as(mim).get(f"/api/v1/incidents/{incident.pk}/timeline?type=update").json()
    assert {row["id"]: row for row in told["results"]} == {row["id"]: row for row in api["results"]}
    assert told["incident"] == {"id": incident.pk, "title": "Checkout fails"}
    assert (told["filter"], told["exportedAt"]) == ({"type": "update"}, "2026-03-02T13:00:00.000Z")
    assert json.loads(taken(page_as(mim), address(incident, ".json?phase=7")))["results"] == []


def test_markdown_reads_as_a_history(page_as: Knock, mim: User, incident: Incident) -> None:
    lag = TimelineEvent.objects.get(title="Lag is 900 s")
    entry(incident, "Lag is *90 s*", "12:50", corrects=lag, actor="N. Ferrari")
    text = taken(page_as(mim), address(incident, ".md?order=oldest"))
    assert text.startswith("# Log of Checkout fails\n\nCritical (P1) · Active · detected 2026-03-02 12:00 UTC\n")
    assert "\n## Monday 2 March 2026\n" in text
    assert "\n### Phase 2 · Gather · since 12:15\n" in text
    assert "- 12:05:00 ~~Lag is 900 s~~ (action, internal, A. Kim)\n" in text
    assert "  - corrected 12:50:00: **Lag is \\*90 s\\*** (N. Ferrari, happened 2026-03-02 12:50 UTC)\n" in text
    assert "**Told partners** (action, both, A. Kim)\n\n  by phone" in text


def test_markdown_shows_marks_as_they_were_written() -> None:
    assert escaped("# a_b [x](y) <b>\n|") == "\\# a\\_b \\[x\\](y) \\<b\\> \\|"


@pytest.mark.parametrize("form", ["csv", "md", "json"])
def test_export_is_as_narrow_as_the_page_and_is_remembered(
    page_as: Knock, stakeholder: User, incident: Incident, form: str
) -> None:
    text = taken(page_as(stakeholder), address(incident, f".{form}?q="))
    assert "Told partners" in text
    assert "Lag is" not in text
    assert "Gather" not in text
    event = AuditEvent.objects.get(action="export")
    assert (event.actor_name, event.object_id) == (stakeholder.email, incident.pk)
    assert event.after == {"what": "log", "format": form, "filter": {}}


@pytest.mark.parametrize("form", ["csv", "md", "json"])
def test_long_export_costs_the_same_per_piece(
    page_as: Knock, mim: User, form: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    incident, browser = IncidentFactory(), page_as(mim)
    many(incident, 1_200)
    with django_assert_max_num_queries(18):
        text = taken(browser, address(incident, f".{form}"))
    assert text.count("Entry ") == 1_200


def test_entry_that_was_taken_back_is_struck_through(page_as: Knock, mim: User, incident: Incident) -> None:
    told = TimelineEvent.objects.get(title="Told partners")
    entry(incident, "Undone: Told partners", "12:21", undoes=told, actor="R. Okafor")
    html = page_as(mim).get(address(incident)).content.decode()
    assert "<s>Told partners</s>" in html
    assert "by R. Okafor</span>" in html


def test_taking_back_in_private_changes_nothing_for_others(
    page_as: Knock, stakeholder: User, incident: Incident
) -> None:
    before = page_as(stakeholder).get(address(incident)).content
    told = TimelineEvent.objects.get(title="Told partners")
    entry(incident, "Undone: Told partners", "12:21", undoes=told, visibility="internal")
    assert page_as(stakeholder).get(address(incident)).content == before
