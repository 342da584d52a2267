"""Who am I, and who is there."""

from __future__ import annotations

from accounts.models import User
from tests.cast import Knock


def test_everyone_may_ask_who_they_are(client_as: Knock, engineer: User) -> None:
    answer = client_as(engineer).get("/api/v1/users/me")
    assert answer.status_code == 200
    assert answer.json()["id"] == "engineer@example.com"
    assert answer.json()["displayName"] == "A. Kim"


def test_administrators_list_people(client_as: Knock, admin_user: User, mim: User) -> None:
    answer = client_as(admin_user).get("/api/v1/users")
    assert [row["email"] for row in answer.json()["results"]] == ["admin@example.com", "mim@example.com"]


def test_others_do_not_list_people(client_as: Knock, mim: User) -> None:
    answer = client_as(mim).get("/api/v1/users")
    assert answer.status_code == 403
    assert answer.json()["code"] == "role_required"
    assert "Administrator" in answer.json()["detail"]


def test_the_api_never_writes_people(client_as: Knock, admin_user: User) -> None:
    answer = client_as(admin_user).post("/api/v1/users", {"role": "admin"}, content_type="application/json")
    assert answer.status_code == 405
