"""The layer that refuses requests of a key or an address that sends too many.

It comes before keys are looked up, so a flood of wrong ones does not reach the database. A request counts for its
key if this process knows that, and for its address otherwise. The fast path uses the same limits.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.api.refusals import error_response
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.rate_limits import RateLimitExceeded, RateUsage
from taskmill.operations.key_verification import KeyVerifier
from taskmill.runtime.http_access import OPEN_PATHS
from taskmill.runtime.http_scope import API_KEY, REFUSED
from taskmill.runtime.offload import caller
from taskmill.runtime.rate_limits import REFUSAL_DELAY_S, RateLimits
from taskmill.wire.rate_limits import rate_limit_headers


class RateLimiting:
    """Wraps the app.

    `keys` are None where none are required; `is_page` returns whether a path is the dashboard's, which draws its
    own refusals.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: RateLimits,
        keys: KeyVerifier | None,
        *,
        is_page: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._limits = limits
        self._keys = keys
        self._is_page = is_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["path"] not in OPEN_PATHS:
            try:
                usage = self._take(scope)
            except RateLimitExceeded as error:
                await self._refuse(error, scope, receive, send)
                return
            if usage is not None:
                send = _with_usage(send, usage)
        await self._app(scope, receive, send)

    async def _refuse(
        self, error: RateLimitExceeded, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Respond after a moment, as the API does, or have the dashboard show a page."""
        await asyncio.sleep(REFUSAL_DELAY_S)
        if self._is_page(scope["path"]):
            await self._app({**scope, REFUSED: error}, receive, send)
        else:
            await error_response(error, scope["path"]).send(send)

    def _take(self, scope: Scope) -> RateUsage | None:
        client = scope.get("client")
        host = client[0] if client else ""
        key = None
        if self._keys is not None and not self._is_page(scope["path"]):
            values = [value for name, value in scope["headers"] if name == b"authorization"]
            if len(values) == 1:
                key = self._keys.known(values[0], host)
                if key is None and self._keys.is_stale(values[0]):
                    return None  # its key was valid half a minute ago: others at its address don't hinder it
        try:
            return self._limits.take(key, host)
        except RateLimitExceeded:
            _name_key(scope, key)
            raise


def _name_key(scope: Scope, key: ApiKey | None) -> None:
    """Have the log line and the audit log name the key of a refused request."""
    if key is not None:
        scope[API_KEY] = key
        if (current := caller.get()) is not None:
            current.key = key


def _with_usage(send: Send, usage: RateUsage) -> Send:
    """Return a `send` that adds how much is left."""

    async def limited(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *rate_limit_headers(usage)]
        await send(message)

    return limited
