"""Follows the feed: reads server-sent events, and decides where and when to continue; the clients do the rest."""

from collections.abc import Iterable, Iterator
from typing import Final, TypedDict

import httpx

from taskmill.client.calls import Call
from taskmill.client.errors import Unexpected
from taskmill.client.filters import parameters_of
from taskmill.client.json_text import read_json
from taskmill.client.reading import reader_of
from taskmill.client.tries import Tries, is_temporary, retry_after_s
from taskmill.client.views.feed import ChangeView
from taskmill.wire.basics import CHANGE, EVENT_STREAM, LIVE

_OK: Final = 200
# Three heartbeats of a service with the default settings.
_SILENCE_S: Final = 45.0
_LONGEST_PAUSE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1


class Wanted(TypedDict, total=False):
    """Which changes to follow; several values of one name are alternatives."""

    queue: str | Iterable[str]
    type: str | Iterable[str]
    status: str | Iterable[str]
    task: str | Iterable[str]


class Following:
    """One reader of the feed over any number of connections: it misses no change and repeats none.

    Trouble before the first connection is raised as for every call; after that, it is retried for ever.
    """

    def __init__(
        self, base_url: str, wanted: Wanted, *, after: str | None, follow: bool, retries: int
    ) -> None:
        self._is_over = False
        self._base_url = base_url
        self._parameters = parameters_of(wanted)
        self._last = after
        self._ends_at_present = not follow
        self._tries = Tries(base_url, repeatable=True, retries=retries)
        self._is_stream = self._was_connected = False
        self._failures = 0
        self._retry_s = 0.0
        self._lines = _Lines()
        self._block = _Block()

    def has_ended(self) -> bool:
        """Return whether the present was reached, and that was the end."""
        return self._is_over

    @property
    def call(self) -> Call[None]:
        """The request that continues after what was read."""
        headers = {"Accept": EVENT_STREAM}
        if self._last is not None:
            headers["Last-Event-ID"] = self._last
        return Call(
            method="GET",
            path="/events",
            parameters=self._parameters,
            headers=headers,
            read=lambda _: None,
        )

    @property
    def timeout(self) -> httpx.Timeout:
        """How long to wait for a connection, and for the next bytes."""
        return httpx.Timeout(10.0, read=_SILENCE_S)

    def accepts(self, response: httpx.Response) -> bool:
        """Return whether it is a stream; else its body must be read, for `pause_after`."""
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        self._is_stream = response.status_code == _OK and media_type == EVENT_STREAM
        if self._is_stream:
            self._was_connected = True
            self._lines, self._block = _Lines(), _Block()
        return self._is_stream

    def read(self, data: bytes) -> Iterator[ChangeView]:
        """Read a piece of a stream and yield the complete changes; after the last one, `has_ended` is true."""
        for line in self._lines.add(data):
            block = self._block
            if line:
                block.add(line)
                continue
            self._block = _Block()
            self._failures = 0
            self._last = self._last if block.id is None else block.id
            self._retry_s = self._retry_s if block.retry_s is None else block.retry_s
            if block.event == CHANGE:
                yield self._change(block.data)
            if self._ends_at_present and LIVE in block.comments:
                self._is_over = True
                return

    def pause_after(self, response: httpx.Response) -> float:
        """Return the seconds to the next connection, after a stream has ended or a response was no stream.

        Raises:
            NotAccepted: The service refused the request.
            Unexpected: It is not a stream of a Taskmill service.
        """
        if self._is_stream:
            return max(self._retry_s, _FIRST_PAUSE_S)
        if is_temporary(response) and (pause_s := self._pause_while_away(response)) is not None:
            return pause_s
        self.call.result(response)
        raise Unexpected(self._base_url, response.status_code, "this is not a stream of events")

    def pause_after_loss(self, error: httpx.RequestError) -> float:
        """Return the seconds to the next connection. Raises `Unreachable` if the first one failed for good."""
        if not self._was_connected:
            return self._tries.pause_after_loss(error)
        self._failures += 1
        return min(_FIRST_PAUSE_S * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE_S)

    def _pause_while_away(self, response: httpx.Response) -> float | None:
        if self._was_connected:
            return min(retry_after_s(response), _LONGEST_PAUSE_S)
        return self._tries.pause_after(response)

    def _change(self, data: str) -> ChangeView:
        try:
            change: ChangeView = reader_of(ChangeView)(read_json(data))
        except ValueError as error:
            raise Unexpected(f"{self._base_url}/events", _OK, str(error)) from error
        return change


class _Lines:
    """Cuts bytes into lines, at line feeds only: names may contain other characters that end lines."""

    def __init__(self) -> None:
        self._partial = b""

    def add(self, data: bytes) -> Iterator[str]:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")


class _Block:
    """The lines up to an empty one."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.event: str | None = None
        self.data = ""
        self.retry_s: float | None = None
        self.comments: list[str] = []

    def add(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "id":
                self.id = value
            case "event":
                self.event = value
            case "data":
                self.data = f"{self.data}\n{value}" if self.data else value
            case "retry" if value.isdecimal():
                self.retry_s = int(value) / 1000
            case _:
                pass  # the standard has readers ignore unknown fields
