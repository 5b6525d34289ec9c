"""Lets pages of the origins in the settings send requests and read responses (CORS)."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from taskmill.runtime.http_access import AccessRules

_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
_SHOWN: Final = (
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
)


class Cors(CORSMiddleware):
    """The layer that answers preflight requests, and adds the CORS headers to responses."""

    def __init__(self, app: ASGIApp, access: AccessRules) -> None:
        super().__init__(app, allow_methods=_METHODS, allow_headers=("*",), expose_headers=_SHOWN)
        self._access = access

    def is_allowed_origin(self, origin: str) -> bool:
        """Return whether an origin is in the settings."""
        return self._access.is_listed(origin)
