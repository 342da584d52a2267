"""The admin site: the definition and team tool. Identity is the same as everywhere else."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can


class MajorOpsAdmin(admin.AdminSite):
    site_header = "MajorOps administration"
    site_title = "MajorOps"
    index_title = "Definitions, teams and people"
    empty_value_display = "—"

    def has_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.is_staff

    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """There is no password to ask for: whoever is not an administrator is told what to do."""
        return refusal(request, RoleRequired.to(Can.ADMINISTER))

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        return redirect("home")
