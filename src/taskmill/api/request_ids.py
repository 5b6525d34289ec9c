"""The id of each request: the one that it came with, if that is valid, otherwise a new one."""

import itertools
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final

REQUEST_ID: Final = "X-Request-Id"

_HEADER: Final = b"x-request-id"
_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIds:
    """Ids of the requests of one app."""

    def __init__(self) -> None:
        # The prefix is unique among processes, the counter within one. Cheaper than randomness for every request.
        ids = map(f"{secrets.token_hex(5)}{{:06x}}".format, itertools.count(1))
        self.next: Callable[[], str] = ids.__next__

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return a request's id."""
        for name, value in headers:
            if name == _HEADER and _VALID_ID.fullmatch(value):
                return value.decode()
        return self.next()
