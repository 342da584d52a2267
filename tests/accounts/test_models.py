"""People: one canonical address each, rights derived from the role."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.emails import MalformedEmail
from accounts.models import User
from tests.factories import NOON, UserFactory

pytestmark = pytest.mark.django_db


def test_an_address_is_stored_in_its_canonical_form() -> None:
    assert User.objects.create_user("Kim@Example.com", role="mim").email == "kim@example.com"
    with pytest.raises(MalformedEmail):
        User.objects.create_user("not an address")


def test_a_form_is_told_once_that_an_address_is_none() -> None:
    person = User(email="ki m@example.com", role="mim")
    for check in (person.clean, person.full_clean):
        with pytest.raises(ValidationError) as refused:
            check()
        assert refused.value.message_dict == {"email": [MalformedEmail().message]}


@pytest.mark.parametrize("fields", [{"email": "Kim@example.com"}, {"role": "superuser"}])
def test_the_database_refuses_what_the_code_might_let_through(fields: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        UserFactory(**fields)


def test_one_person_per_address(mim: User) -> None:
    with pytest.raises(IntegrityError):
        UserFactory(email=mim.email)


def test_staff_is_derived_from_the_role_and_nobody_is_superuser(admin_user: User, mim: User) -> None:
    assert (admin_user.is_staff, mim.is_staff) == (True, False)
    assert not admin_user.is_superuser
    admin_user.is_active = False
    assert not admin_user.is_staff
    assert not admin_user.has_perm("kpis.change_kpidefinition")


def test_last_seen_is_written_at_most_every_five_minutes(mim: User) -> None:
    User.objects.touch(mim, NOON)
    for minutes, expected in [(4, NOON), (5, NOON + timedelta(minutes=5))]:
        mim.refresh_from_db()
        User.objects.touch(mim, NOON + timedelta(minutes=minutes))
        mim.refresh_from_db()
        assert mim.last_seen_at == expected
