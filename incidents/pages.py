"""What every page of incidents and KPIs is wrapped in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import page_for
from accounts.refusals import refusal
from accounts.roles import Can
from incidents.actions import Stamp
from incidents.forms.core import Form
from incidents.models import Incident, Source
from incidents.viewing import incidents_for
from majorops.lib.errors import DomainError

Page = Callable[..., HttpResponse]
R = TypeVar("R", bound=HttpResponseBase)


class NothingHere(DomainError):
    """There is nothing here, or nothing you may see."""

    code = "not_found"
    status = 404


def page(capability: Can) -> Callable[[Callable[..., R]], Callable[..., R | HttpResponse]]:
    """`page_for`, with our own page for what does not exist: in development Django would list the routes."""

    def decorate(view: Callable[..., R]) -> Callable[..., R | HttpResponse]:
        @page_for(capability)
        @wraps(view)
        def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> R | HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except Http404:
                return refusal(request, NothingHere())

        return answering

    return decorate


def person(request: HttpRequest) -> User:
    """Who asks: behind `page` it is somebody who signed in."""
    return cast(User, request.user)


def asked_incident(request: HttpRequest, incident_id: str) -> Incident:
    """The incident, if this person may see it; otherwise it does not exist."""
    return get_object_or_404(incidents_for(person(request)), pk=incident_id)


def stamp(request: HttpRequest, form: Form) -> Stamp:
    """Who, when, and by which door, of what was sent with this form."""
    return Stamp(by=person(request), at=form.at, now=form.now, source=Source.WEB)
