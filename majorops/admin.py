"""The admin site: the definition and team tool. Identity is the same as everywhere else."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import User
from accounts.permissions import RoleRequired
from accounts.refusals import refusal
from accounts.roles import Can
from majorops.jobs_reading import stale_jobs


class MajorOpsAdmin(admin.AdminSite):
    site_header = "MajorOps administration"
    site_title = "MajorOps"
    index_title = "Definitions, teams and people"
    empty_value_display = "—"

    def has_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.is_staff

    def index(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> TemplateResponse:
        """With the background jobs that somebody should look after."""
        return super().index(request, {"stale_jobs": stale_jobs(timezone.now()), **(extra_context or {})})

    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """There is no password to ask for: whoever is not an administrator is told what to do."""
        return refusal(request, RoleRequired.to(Can.ADMINISTER))

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        return redirect("home")
