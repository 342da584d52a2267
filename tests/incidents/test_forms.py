"""How typed times, names and texts are read."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from accounts.models import User
from incidents import moments, words
from incidents.forms.entries import LogForm
from incidents.forms.facts import DeclareForm, EditForm
from incidents.forms.people import AnswerForm, RoleForm
from incidents.forms.phases import AdvanceForm
from incidents.forms.promises import MilestoneForm
from incidents.models import Incident
from incidents.searches import SearchForm
from majorops.lib.errors import Invalid
from tests.factories import IncidentFactory, UserFactory, at

NOW = at("13:00")


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("", NOW, NOW),
        ("  ", NOW, NOW),
        ("12:02", NOW, at("12:02")),
        ("12.02", NOW, at("12:02")),
        ("9:05", NOW, at("09:05")),
        ("12:02:30 UTC", NOW, at("12:02:30")),
        ("13:04", NOW, at("13:04")),  # a clock may run ahead by five minutes
        ("23:50", at("00:10"), at("2026-03-01T23:50")),
        ("-7m", NOW, at("12:53")),
        ("-7 min", NOW, at("12:53")),
        ("-90s", NOW, at("12:58:30")),
        ("-1h 5m", NOW, at("11:55")),
        ("2026-03-02T13:30+01:00", NOW, at("12:30")),
        ("2026-03-01T08:00Z", NOW, at("2026-03-01T08:00")),
    ],
)
def test_time_that_has_happened(text: str, now: datetime, expected: datetime) -> None:
    assert moments.happened(text, now) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("14:30", "14:30 UTC has not come yet"),
        ("25:00", "Write a time such as 14:02 (UTC), -7m"),
        ("12:60", "Write a time"),
        ("+7m", "Write a time"),
        ("-", "Write a time"),
        ("7m", "Write a time"),
        ("yesterday", "Write a time"),
        ("2026-03-02T12:30", "needs a time zone"),
        ("2026-13-02T12:30Z", "must be a time such as"),
        ("1999-01-01T00:00Z", "between the years 2000 and 2099"),
        ("٣:٣٠", "Write a time"),
    ],
)
def test_time_that_cannot_be_read_says_how_to_write_it(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        moments.happened(text, NOW)
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("13:30", NOW, at("13:30")),
        ("00:15", at("23:50"), at("2026-03-03T00:15")),
        ("13:00", NOW, at("2026-03-03T13:00")),
        ("+45m", NOW, at("13:45")),
        ("2026-03-02T14:30Z", NOW, at("14:30")),
    ],
)
def test_time_that_is_promised_lies_ahead(text: str, now: datetime, expected: datetime) -> None:
    assert moments.promised(text, now) == expected


@pytest.mark.parametrize(
    ("length", "clock", "span", "short"),
    [
        (timedelta(0), "00:00:00", "0 s", "0:00"),
        (timedelta(seconds=59), "00:00:59", "59 s", "0:59"),
        (timedelta(minutes=4, seconds=5), "00:04:05", "4 min", "4:05"),
        (timedelta(hours=1, minutes=42, seconds=10), "01:42:10", "1 h 42 min", "1:42:10"),
        (timedelta(hours=2), "02:00:00", "2 h", "2:00:00"),
        (timedelta(days=3, hours=4, minutes=12), "3 d 04:12", "3 d 4 h", "76:12:00"),
        (timedelta(days=20, hours=4), "20 d 04:00", "20 d", "484:00:00"),
        (timedelta(seconds=-1), "—", "—", "—"),
        (None, "—", "—", "—"),
    ],
)
def test_durations_are_readable_and_never_negative(length: timedelta | None, clock: str, span: str, short: str) -> None:
    assert (words.clock(length), words.span(length), words.short(length)) == (clock, span, short)


@pytest.mark.parametrize(
    ("text", "said"),
    [("13:00", "just now"), ("12:58", "2 min ago"), ("13:05", "in 5 min"), ("10:30", "2 h 30 min ago")],
)
def test_distance_is_said_from_now(text: str, said: str) -> None:
    assert words.ago(at(text), NOW) == said


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        (0, "0"),
        (1240, "1,240"),
        (96.04, "96"),
        (96.46, "96.5"),
        (4.25, "4.25"),
        (4.5, "4.5"),
        (0.004, "≈ 0"),
    ],
)
def test_numbers_have_as_many_decimals_as_say_something(value: float | None, shown: str) -> None:
    assert words.number(value) == shown


def test_first_line_is_the_title_and_nothing_is_cut_off() -> None:
    form = LogForm({"text": "Failover\r\nto west\r\nnow", "visibility": "internal"}, now=NOW)
    assert form.is_valid()
    assert form.cleaned_data["text"] == ("Failover", "to west\nnow")


def test_long_first_line_goes_on_below() -> None:
    text = "word " * 100
    form = LogForm({"text": text, "visibility": "internal"}, now=NOW)
    assert form.is_valid()
    title, description = form.cleaned_data["text"]
    assert len(title) <= 300
    assert f"{title} {description}" == text.strip()


def test_audience_must_be_sent() -> None:
    assert not LogForm({"text": "x"}, now=NOW).is_valid()
    assert LogForm(now=NOW)["visibility"].value() == "internal"


@pytest.mark.parametrize(
    ("choice", "typed", "promise"),
    [("15", "", at("13:15")), ("60", "", at("14:00")), ("none", "", None), ("15", "14:30", at("14:30"))],
)
def test_promise_is_a_choice_or_a_time_and_the_time_counts(choice: str, typed: str, promise: datetime | None) -> None:
    said = {"title": "x", "body": "y", "next_update": choice, "next_update_at": typed}
    form = MilestoneForm(said, now=NOW)
    assert form.is_valid()
    assert form.promise == promise


def test_advance_offers_what_the_rule_allows() -> None:
    incident = Incident(phase=4)
    offered = [value for value, _ in AdvanceForm(now=NOW, incident=incident).fields["phase"].widget.choices]
    assert offered == [5, 6, 7, 2, 3]


def test_refusal_stands_at_the_field_the_form_knows() -> None:
    form = AnswerForm({}, now=NOW)
    assert form.is_valid()
    form.refuse(Invalid("too early", field="arrived_at"))
    form.refuse(Invalid("no field", field="colour"))
    assert form.errors == {"happened": ["too early"], "__all__": ["no field"]}


def test_alert_id_tells_a_second_declaration() -> None:
    form = DeclareForm({"title": "x", "severity": "low", "alert_id": "Q1"}, now=NOW)
    assert form.is_valid()
    assert (form.said["dedup_key"], form.said["kind"], form.said["external_impact"]) == ("Q1", "real", "unknown")


@pytest.mark.parametrize("who", ["kim@example.com", "KIM@example.com", "a. kim", " A. Kim "])
def test_person_is_found_by_address_or_name(db: None, who: str) -> None:
    kim = UserFactory(email="kim@example.com", display_name="A. Kim")
    form = RoleForm({"role": "leader", "who": who}, now=NOW)
    assert form.is_valid()
    assert form.cleaned_data["user"] == kim


def test_person_who_is_switched_off_takes_no_role(db: None) -> None:
    UserFactory(email="kim@example.com", is_active=False)
    assert not RoleForm({"role": "leader", "who": "kim@example.com"}, now=NOW).is_valid()


@pytest.mark.parametrize(
    ("asked", "is_valid"),
    [({"page": "2", "status": "open"}, True), ({"pages": "2"}, False), ({"pages": ""}, True)],
)
def test_filter_reads_the_page_beside_its_own_names(mim: User, asked: dict[str, str], is_valid: bool) -> None:
    assert SearchForm(asked, viewer=mim, now=NOW).is_valid() == is_valid


def test_untouched_edit_form_has_no_changes(mim: User) -> None:
    incident = IncidentFactory(
        description="two\nlines", affected_systems=["a", "b"], issue_time=at("11:58"), customer_count=0
    )
    empty = EditForm(now=NOW, incident=incident)
    sent = {name: empty[name].value() for name in empty.fields}
    seen = {f"initial-{name}": value for name, value in sent.items()}
    form = EditForm({**sent, **seen}, now=NOW, incident=incident)
    assert form.is_valid()
    assert form.changes == {}
