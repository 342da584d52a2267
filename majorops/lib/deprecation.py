"""How the API says that an address will go: in each of its answers (RFC 9745, RFC 8594) and in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.utils.http import http_date
from rest_framework.request import Request
from rest_framework.views import APIView


class Deprecated(APIView):
    """A view that is still served until `sunset`; `instead` is the address to use from now on."""

    deprecated_since: ClassVar[datetime]
    sunset: ClassVar[datetime]
    instead: ClassVar[str]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Refusals say so too: a program that only ever fails here should hear of it."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Deprecation"] = f"@{int(self.deprecated_since.timestamp())}"
        response["Sunset"] = http_date(self.sunset.timestamp())
        successor = f'<{self.instead}>; rel="successor-version"'
        response["Link"] = f"{response['Link']}, {successor}" if "Link" in response else successor
        return response
