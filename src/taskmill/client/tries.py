"""Decides whether a call is sent again, and when; the clients do the waiting."""

from collections.abc import Iterator
from typing import Final

import httpx

from taskmill.client.errors import Unreachable

_FIRST_PAUSE_S: Final = 0.1
_GROWTH: Final = 3
_LONGEST_PAUSE_S: Final = 5.0
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
AWAY: Final = frozenset({502, 503, 504})
"""The statuses of a service that is away for now, or of a proxy that does not reach it."""


class Tries:
    """The tries of one call: each pause is three times the one before, up to five seconds.

    A call that was never delivered (the connection was refused) may always be sent again. One whose response was
    lost, or is temporary, may only if it is `repeatable`: twice has the effect of once. A 503 may mean that the
    service itself does not know whether the request took effect; a 429, that nothing was done.
    """

    def __init__(self, url: str, *, repeatable: bool, retries: int) -> None:
        self._url = url
        self._repeatable = repeatable
        self._pauses: Iterator[float] = (
            min(_FIRST_PAUSE_S * _GROWTH**n, _LONGEST_PAUSE_S) for n in range(retries)
        )

    def pause_after_loss(self, error: httpx.RequestError) -> float:
        """Return the seconds to wait before the next try.

        Raises:
            Unreachable: There is no next try.
        """
        was_delivered = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        pause = None if was_delivered and not self._repeatable else next(self._pauses, None)
        if pause is None:
            raise Unreachable(self._url, _reason(error)) from error
        return pause

    def pause_after(self, response: httpx.Response) -> float | None:
        """Return the seconds to wait before the next try, None if this response is final."""
        is_undone = response.status_code == _TOO_MANY
        if not is_undone and not (self._repeatable and is_temporary(response)):
            return None
        return self.pause_for(retry_after_s(response))

    def pause_for(self, requested_s: float) -> float | None:
        """Return the seconds to wait, given those that the service requests; None if there is no next try."""
        pause = next(self._pauses, None)
        return None if pause is None else max(pause, min(requested_s, _LONGEST_PAUSE_S))


def is_temporary(response: httpx.Response) -> bool:
    """Return whether it is worth a retry.

    The service is away, the client has sent too much, or the key's first request is still in flight.
    """
    is_held = response.status_code == _CONFLICT and "Retry-After" in response.headers
    return is_held or response.status_code in {*AWAY, _TOO_MANY}


def retry_after_s(response: httpx.Response) -> float:
    """Return the seconds of `Retry-After`; 1 when it is missing, or a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 1.0


def _reason(error: httpx.RequestError) -> str:
    match error:
        case httpx.ConnectTimeout():
            return "it could not be reached in time"
        case httpx.ConnectError() if _UNTRUSTED in str(error):
            why = str(error).rpartition(": ")[2].partition(" (_ssl")[0]
            return f"its certificate is not trusted: {why}; SSL_CERT_FILE names the CA to trust"
        case httpx.ConnectError():
            return str(error) or "the connection was refused"
        case httpx.DecodingError():
            return f"its response can't be decoded ({error})"
        case httpx.TimeoutException():
            return "it took too long"
        case _:
            return f"the connection was lost ({str(error) or type(error).__name__})"
