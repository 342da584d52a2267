"""What administrators curate for learning reviews: the sections new ones begin with, and contributing factors."""

from __future__ import annotations

from django.contrib import admin

from incidents.admin import FindsULID
from incidents.models import ContributingFactor, ReviewSection


@admin.register(ReviewSection)
class ReviewSectionAdmin(FindsULID):
    ulid_fields = ()
    list_display = ("title", "position", "prefill", "is_required", "is_active")
    search_fields = ("title", "slug")
    fields = ("slug", "title", "help_text", "prefill", "position", "is_required", "is_active")


@admin.register(ContributingFactor)
class ContributingFactorAdmin(FindsULID):
    ulid_fields = ()
    list_display = ("name", "slug", "help_text", "is_active")
    search_fields = ("name", "slug")
    fields = ("slug", "name", "help_text", "is_active")
