"""Every route there is, found by walking the URL map."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils.regex_helper import normalize

#: The long walks of `make drill`.
WHOLE = bool(os.environ.get("MAJOROPS_WHOLE_WALK"))


@dataclass(frozen=True)
class Route:
    """`/incidents/{incident_id}/log`."""

    path: str
    callback: Callable[..., Any]

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    def filled(self, samples: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """The route with each combination of the sample arguments. Fails where none are known for a parameter."""
        unknown = [name for name in self.parameters if name not in samples]
        if unknown:
            raise LookupError(f"{self.path}: give tests/walk.py sample arguments for {', '.join(unknown)}")
        for values in product(*(samples[name] for name in self.parameters)):
            yield self.path.format(**dict(zip(self.parameters, values, strict=True)))


def routes() -> list[Route]:
    """All routes, once each, by path."""
    found = {route.path: route for route in _walk(get_resolver().url_patterns, "/")}
    return [found[path] for path in sorted(found)]


def _walk(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + _template(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        else:
            yield Route(path, pattern.callback)


def _template(pattern: Any) -> str:
    if isinstance(pattern, RoutePattern):
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", pattern._route)
    text, names = normalize(pattern._regex)[0]
    return text % {name: f"{{{name}}}" for name in names}


def is_admin(path: str) -> bool:
    return path.startswith("/admin/")
