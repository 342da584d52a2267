"""Who a request can come from: a person, or a program with scopes. Views ask both the same questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accounts.models.people import User
from accounts.roles import Can
from accounts.scopes import Scope

#: What a scope lets a program do, in the words that roles use.
CAPABILITIES: dict[str, frozenset[Can]] = {
    Scope.INCIDENTS_READ: frozenset({Can.READ_INCIDENTS}),
    Scope.INCIDENTS_READ_INTERNAL: frozenset({Can.READ_INCIDENTS, Can.READ_INTERNAL}),
    Scope.INCIDENTS_WRITE: frozenset({Can.READ_INCIDENTS, Can.COMMAND}),
    Scope.TIMELINE_WRITE: frozenset({Can.READ_INCIDENTS, Can.POST}),
    Scope.FACTS_WRITE: frozenset({Can.WRITE_FACTS}),
    Scope.KPIS_READ: frozenset({Can.READ_INCIDENTS, Can.READ_EXEC_KPIS, Can.READ_INTERNAL_KPIS}),
    Scope.KPIS_WRITE: frozenset({Can.READ_INCIDENTS, Can.WRITE_KPIS}),
    Scope.KPIS_DEFINE: frozenset({Can.READ_INCIDENTS, Can.READ_EXEC_KPIS, Can.READ_INTERNAL_KPIS, Can.DEFINE_KPIS}),
    Scope.TEAMS_READ: frozenset({Can.READ_TEAMS}),
    Scope.PUBLISH: frozenset({Can.PUBLISH}),
}


@dataclass(frozen=True, slots=True)
class Service:
    """A program that proved itself, by a token of ours or through the access proxy. Never a row of users."""

    integration_id: str
    name: str
    scopes: frozenset[str]
    #: The token it used; empty for one that came through the access proxy.
    token_id: str = ""

    # Django and REST framework ask these of whoever is behind a request.
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True
    is_staff: ClassVar[bool] = False
    pk: ClassVar[None] = None
    role: ClassVar[str] = ""

    def can(self, capability: Can) -> bool:
        return any(capability in CAPABILITIES.get(scope, ()) for scope in self.scopes)


Principal = User | Service


@dataclass(frozen=True, slots=True)
class Rights:
    """All of a viewer that decides what they read, but for who they are."""

    role: str = ""
    #: None for a person.
    scopes: frozenset[str] | None = None

    @classmethod
    def of(cls, viewer: Principal) -> Rights:
        if isinstance(viewer, Service):
            return cls(scopes=viewer.scopes)
        return cls(role=viewer.role if viewer.is_active else "")

    def somebody(self, pk: str) -> Principal:
        """Somebody with these rights of whom nothing else is known."""
        return User(pk=pk, role=self.role) if self.scopes is None else Service("", "", self.scopes)
