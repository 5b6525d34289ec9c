"""Lets pages of the origins that the settings name ask and read, as browsers want to be told (CORS)."""

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
    "Retry-After",
    "X-Request-Id",
)


class Cors(CORSMiddleware):
    """The layer that answers a browser's question whether a page may ask, and marks answers for such pages."""

    def __init__(self, app: ASGIApp, access: AccessRules) -> None:
        super().__init__(app, allow_methods=_METHODS, allow_headers=("*",), expose_headers=_SHOWN)
        self._access = access

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether the settings name an origin."""
        return self._access.is_listed(origin)
