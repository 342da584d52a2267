"""The API's view of identity: whom the middleware found, and proof of intent where that is needed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.models import User
from accounts.principals import Principal


class IdentityAuthentication(BaseAuthentication):
    """The sender the middleware found. A person whom the browser names by itself needs a CSRF token to write.

    Programs do not: no other site can make a browser send a bearer token, and none is signed in as a program.
    """

    def authenticate(self, request: Request) -> tuple[Principal, None] | None:
        sender = request._request.user
        if not isinstance(sender, Principal):
            return None
        if isinstance(sender, User) and request._request.identity.is_ambient:  # type: ignore[attr-defined]
            self._check_intent(request._request)
        return sender, None

    def authenticate_header(self, request: Request) -> str:
        return 'Proxy realm="MajorOps"'

    def _check_intent(self, request: HttpRequest) -> None:
        if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site") == "cross-site":
            told = "The browser says that another site sent this. Write from a page of MajorOps."
            raise exceptions.PermissionDenied(told, code="cross_site")
        check = CSRFCheck(lambda _: HttpResponse())
        check.process_request(request)
        if reason := check.process_view(request, lambda _: HttpResponse(), (), {}):
            raise exceptions.PermissionDenied(f"CSRF check failed: {reason}", code="csrf_failed")
