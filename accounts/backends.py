"""Django's permission questions, answered from roles.py. Nobody logs in here: see middleware.py."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

from accounts.models import User
from accounts.roles import has_django_permission


class RoleBackend(BaseBackend):
    def has_perm(self, user_obj: Any, perm: str, obj: object = None) -> bool:
        return isinstance(user_obj, User) and user_obj.is_active and has_django_permission(user_obj.role, perm)
