"""DRF's permission classes and the page decorator. People are asked by roles.py, programs by their scopes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.permissions import BasePermission

from accounts.models import User
from accounts.principals import CAPABILITIES, Principal, Service
from accounts.refusals import refusal
from accounts.roles import Can, roles_that
from majorops.lib.errors import DomainError

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class RoleRequired(DomainError):
    """Your role does not allow this."""

    code = "role_required"
    status = 403

    @classmethod
    def to(cls, capability: Can) -> RoleRequired:
        roles = " or ".join(roles_that(capability))
        return cls(f"To {capability.value} you need the role {roles}. An administrator can grant it.")


class ScopeRequired(DomainError):
    """The scopes of this integration do not allow this."""

    code = "scope_required"
    status = 403

    @classmethod
    def to(cls, capability: Can) -> ScopeRequired:
        scopes = sorted(scope for scope, allowed in CAPABILITIES.items() if capability in allowed)
        if not scopes:
            return cls(f"To {capability.value} is for people; no scope allows it to a program.")
        return cls(
            f"To {capability.value} this integration needs the scope {' or '.join(scopes)}. "
            "An administrator can grant it."
        )


class PeopleOnly(DomainError):
    """Only a person can do this, and this request comes from a program. Sign in through the access proxy."""

    code = "people_only"
    status = 403


def required(sender: User | Service | AnonymousUser, capability: Can) -> DomainError:
    """The refusal for a sender without the capability: it names the role, or for a program the scope."""
    return ScopeRequired.to(capability) if isinstance(sender, Service) else RoleRequired.to(capability)


class Nobody(BasePermission):
    """The default: a view that does not say who may use it serves nobody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class SignedIn(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.user, Principal)


class Capable(BasePermission):
    """Base of what asks for a capability."""

    message = ""
    code = ""

    def allows(self, request: Request, capability: Can) -> bool:
        if isinstance(request.user, Principal) and request.user.can(capability):
            return True
        refused = required(request.user, capability)
        self.message, self.code = refused.message, refused.code
        return False


def allowed_to(capability: Can) -> type[BasePermission]:
    """A permission class for one capability: `permission_classes = [allowed_to(Can.COMMAND)]`."""

    class HasCapability(Capable):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return self.allows(request, capability)

    HasCapability.__name__ = f"AllowedTo{capability.name.title().replace('_', '')}"
    return HasCapability


def by_method(**capabilities: Can) -> type[BasePermission]:
    """A permission class where methods need different capabilities: `by_method(GET=Can.X, POST=Can.Y)`."""

    class ByMethod(Capable):
        def has_permission(self, request: Request, view: APIView) -> bool:
            method = "GET" if request.method == "HEAD" else request.method or ""
            if method not in capabilities:
                return isinstance(request.user, Principal)  # the view will answer 405
            return self.allows(request, capabilities[method])

    return ByMethod


def principal_of(request: Request) -> Principal:
    """Who sent this, a person or a program. Permission classes let nobody else through."""
    if not isinstance(request.user, Principal):
        raise TypeError("A view without a permission class asked who sent the request.")
    return request.user


def person_of(request: Request) -> User:
    """Who sent this, where only a person makes sense. Raises PeopleOnly for a program."""
    sender = principal_of(request)
    if isinstance(sender, Service):
        raise PeopleOnly
    return sender


R = TypeVar("R", bound=HttpResponseBase)


def page_for(capability: Can) -> Callable[[Callable[..., R]], Callable[..., R | HttpResponse]]:
    """Lets a page view through to people with the capability; others get 403 naming the role."""

    def decorate(view: Callable[..., R]) -> Callable[..., R | HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> R | HttpResponse:
            sender: object = request.user
            if isinstance(sender, Service):
                return refusal(request, PeopleOnly())
            if not (isinstance(sender, User) and sender.can(capability)):
                return refusal(request, RoleRequired.to(capability))
            return view(request, *args, **kwargs)

        guarded.capability = capability  # type: ignore[attr-defined]
        return guarded

    return decorate
