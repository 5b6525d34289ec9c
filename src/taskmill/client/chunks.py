"""The tasks of one request of lines: which are still to be sent, and the outcome of each.

Each line of the response counts when it comes: after a broken response, only tasks without a line are sent again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import httpx

from taskmill.client.calls import Call
from taskmill.client.errors import NotAccepted
from taskmill.client.json_text import read_json
from taskmill.client.reading import reader_of
from taskmill.client.refusal_kinds import refusal
from taskmill.client.tries import Tries
from taskmill.client.views.problems import Problem
from taskmill.wire.basics import LINES_MEDIA_TYPE

# A service creates a thousand tasks at a time.
_LONGER_S: Final = 20.0
_THERE: Final = 200
_PROBLEM: Final = reader_of(Problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateResult:
    """The outcome of one task of many: it has an `id`, or an `error` says why it was refused.

    `index` is its position among them, from 0. `was_there`: the task of its key existed already.
    """

    index: int
    id: UUID | None = None
    was_there: bool = False
    error: NotAccepted | None = None


@dataclass(slots=True, kw_only=True)
class Room:
    """How many bytes a request may have: a proxy may accept less than the service."""

    size: int


class Chunk:
    """The tasks of one request: those without an outcome are sent, again if need be, and in smaller requests.

    The retries start again whenever the outcome of a task was learnt.
    """

    def __init__(
        self, first: int, lines: list[bytes], room: Room, new_tries: Callable[[], Tries]
    ) -> None:
        self.first = first
        self._lines = lines
        self._room = room
        self._new_tries = new_tries
        self._tries = new_tries()
        self._ids: list[UUID | None] = [None] * len(lines)
        self._refused: dict[int, NotAccepted] = {}
        self._there: set[int] = set()
        self._open: Sequence[int] = range(len(lines))
        self._sent: Sequence[int] = ()

    @property
    def call(self) -> Call[None]:
        """The request for tasks without an outcome."""
        self._sent = self._fitting()
        for at in self._sent if self._refused else ():
            self._refused.pop(at, None)  # it is tried again, so its outcome is unknown again
        response_lines = _ResponseLines(self._note)
        return Call(
            method="POST",
            path="/tasks/batch",
            content=b"".join([self._lines[at] for at in self._sent]),
            headers={"Content-Type": LINES_MEDIA_TYPE},
            hold_s=_LONGER_S,
            parts=lambda: response_lines.take,
            read=response_lines.end,
        )

    def pause_after(self, call: Call[None], response: httpx.Response) -> float | None:
        """Return the seconds to the next request after this response, None if there is no next.

        Raises:
            NotAccepted: The service refused the request as a whole.
            Unexpected: It is not the response of a Taskmill service.
            Unreachable: The response was incomplete, and there is no next try.
        """
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(self._sent) > 1:
            self._room.size = len(call.content or b"") // 2
            return 0.0
        if (again_s := self._tries.pause_after(response)) is not None:
            return again_s
        call.result(response)
        self._update_open()
        return self._pause_for_open()

    def pause_after_loss(self, error: httpx.RequestError) -> float:
        """Return the seconds to the next request after a response was lost, or a part of it.

        Raises:
            Unreachable: There is no next try.
        """
        self._update_open()
        return self._tries.pause_after_loss(error)

    def outcomes(self) -> Iterator[CreateResult]:
        """Yield the outcomes of the tasks, in order, up to the first unknown one."""
        for at, made in enumerate(self.known_ids()):
            yield CreateResult(
                index=self.first + at,
                id=made,
                was_there=at in self._there,
                error=self._refused.get(at),
            )

    def known_ids(self) -> list[UUID | None]:
        """Return the tasks' ids, None for a refused one, up to the first unknown outcome."""
        unknown = (at for at in self._open if at not in self._refused)
        return self._ids[: next(unknown, len(self._ids))]

    def refused(self) -> Mapping[int, NotAccepted]:
        """Return why tasks were refused, by their positions in this chunk."""
        return self._refused

    def _fitting(self) -> Sequence[int]:
        size = 0
        for count, at in enumerate(self._open):
            size += len(self._lines[at])
            if size > self._room.size and count:
                return self._open[:count]
        return self._open

    def _update_open(self) -> None:
        """Remove the tasks whose outcome is known."""
        is_open = [at for at in self._open if self._ids[at] is None and not self._is_refused(at)]
        if len(is_open) < len(self._open):
            self._tries = self._new_tries()
        self._open = is_open

    def _is_refused(self, at: int) -> bool:
        error = self._refused.get(at)
        return error is not None and error.retry_after_s is None

    def _pause_for_open(self) -> float | None:
        waits = [
            error.retry_after_s or 0.0 for at in self._open if (error := self._refused.get(at))
        ]
        sent = set(self._sent)
        if len(waits) < sum(at in sent for at in self._open):
            return self._tries.pause_after_loss(httpx.ReadError("the response broke off"))
        if waits and (pause_s := self._tries.pause_for(max(waits))) is not None:
            return pause_s
        self._open = [at for at in self._open if at not in self._refused]
        return 0.0 if self._open else None

    def _note(self, lines: list[dict[str, Any]]) -> None:
        """Note the outcomes of some of the tasks that were sent."""
        positions: list[int] = []
        ids: list[str] = []
        for line in lines:
            if (number := line["line"]) < 1:
                raise IndexError(number)
            at = self._sent[number - 1]
            if (problem := line.get("problem")) is not None:
                self._refused[at] = refusal(_PROBLEM(problem))
                continue
            positions.append(at)
            ids.append(line["id"])
            if line["status"] == _THERE:
                self._there.add(at)
        for at, made in zip(positions, [UUID(one) for one in ids], strict=True):
            self._ids[at] = made


class _ResponseLines:
    """The lines of the response, read while the service still works on those that follow."""

    def __init__(self, note: Callable[[list[dict[str, Any]]], None]) -> None:
        self._note = note
        self._partial = b""
        self._fault: ValueError | None = None

    def take(self, part: bytes) -> None:
        """Take a part of the response, wherever it ends."""
        *whole, self._partial = (self._partial + part).split(b"\n")
        lines = [line for line in whole if line.strip()]
        if not lines or self._fault is not None:
            return
        try:
            self._note(read_json(b"[%b]" % b",".join(lines)))
        except ValueError as error:
            self._fault = error
        except (AttributeError, IndexError, KeyError, TypeError):
            self._fault = ValueError("a line of it belongs to no task that was sent")

    def end(self, _: httpx.Response) -> None:
        """Take the last line. Raises `ValueError` if any line was invalid."""
        self.take(b"\n")
        if self._fault is not None:
            raise self._fault
