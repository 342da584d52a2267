"""What every page of incidents and KPIs is wrapped in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from accounts.permissions import page_for
from accounts.refusals import refusal
from accounts.roles import Can
from majorops.lib.errors import DomainError

Page = Callable[..., HttpResponse]


class NothingHere(DomainError):
    """There is nothing here, or nothing you may see."""

    code = "not_found"
    status = 404


def page(capability: Can) -> Callable[[Page], Page]:
    """`page_for`, with our own page for what does not exist: in development Django would list the routes."""

    def decorate(view: Page) -> Page:
        @page_for(capability)
        @wraps(view)
        def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except Http404:
                return refusal(request, NothingHere())

        return answering

    return decorate
