"""What the fast path knows of a request while it serves it, and the timer of all of them."""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final, NamedTuple

from taskmill.api.request_record import ID_HEADER, RequestRecord, RequestRecords
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.task import TaskDraft
from taskmill.runtime.fast_path import FastRequest, Header


class Sender(NamedTuple):
    """Who has sent a request: the API key, None where none is required; and headers that say what it has left."""

    key: ApiKey | None
    rate_headers: tuple[Header, ...]


_ANYBODY: Final = Sender(None, ())


class Call(RequestRecord):
    """A request that is being served, its sender, and its draft if that may wait for an idempotency key."""

    __slots__ = ("draft", "key", "rate_headers", "request", "route")

    def __init__(
        self,
        records: RequestRecords,
        request: FastRequest,
        headers: Mapping[bytes, bytes],
        method: str,
        route: str,
        *,
        sender: Sender = _ANYBODY,
    ) -> None:
        super().__init__(
            records, headers.get(ID_HEADER), method, request.url.decode("ascii"), request.client
        )
        self.request = request
        self.route = route
        self.key = sender.key
        self.key_id = None if sender.key is None else sender.key.id
        self.rate_headers = sender.rate_headers
        self.draft: TaskDraft | None = None


class Deadlines:
    """Calls that may take the same time each, so the first to come is the first to be late: one timer for all."""

    def __init__(self, limit_s: float, on_late: Callable[[Call], None]) -> None:
        self._limit_s = limit_s
        self._on_late = on_late
        self._ends_at: dict[Call, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, call: Call) -> bool:
        return call in self._ends_at

    def add(self, call: Call) -> None:
        """Begin to watch a call."""
        self._ends_at[call] = call.started + self._limit_s
        if self._timer is None:
            self._check()

    def remove(self, call: Call) -> bool:
        """Stop watching a call; return whether it was watched, and so is not late."""
        return self._ends_at.pop(call, None) is not None

    def _check(self) -> None:
        self._timer = None
        for call, ends_at in list(self._ends_at.items()):
            remaining_s = ends_at - perf_counter()
            if remaining_s > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(remaining_s, self._check)
                return
            del self._ends_at[call]
            self._on_late(call)
