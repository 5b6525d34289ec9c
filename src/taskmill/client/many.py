"""Creates any number of tasks: cuts them into requests of lines, and learns what became of each.

Every task has a key, its own or one that is made here: so a request whose answer was lost, or broke off, is sent
again as it was. No more than one request's tasks are held at a time.
"""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, TypeAdapter

from taskmill.client.calls import Call, json_bytes
from taskmill.client.errors import NotAccepted, NotAllCreated
from taskmill.client.refusals import refusal
from taskmill.client.tries import Tries
from taskmill.wire.batches import LINES_MEDIA_TYPE
from taskmill.wire.problems import Problem

__all__ = ["MOST_LINES", "Chunk", "Collected", "Cutter", "Outcome", "Tasks", "achunks", "chunks"]

Tasks: TypeAlias = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]

MOST_LINES: Final = 10_000
# A service takes 32 MiB unless it is told otherwise.
_MOST_BYTES: Final = 8 * 2**20
# It answers a thousand at a time.
_LONGER_S: Final = 20.0
_KEY_CHARS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one task of many: it has an `id`, or an `error` says why it was refused.

    `index` is its place among them, from 0. `was_there` tells that its key had made it before.
    """

    index: int
    id: UUID | None = None
    was_there: bool = False
    error: NotAccepted | None = None


class _Line(BaseModel):
    """The answer's line for a task; its number is that in the request, from 1."""

    line: int
    status: int
    id: UUID | None = None
    problem: Problem | None = None


_LINE: Final = TypeAdapter(_Line)
_THERE: Final = 200


class Chunk:
    """The tasks of one request: those without an outcome are sent, again if need be."""

    def __init__(self, first: int, lines: list[bytes], tries: Tries) -> None:
        self._first = first
        self._lines = lines
        self._tries = tries
        self._found: dict[int, Outcome] = {}
        self._open = list(range(len(lines)))

    @property
    def call(self) -> Call[list[_Line]]:
        """The request for the tasks that have no outcome yet."""
        answer = _Answer()
        return Call(
            method="POST",
            path="/tasks/batch",
            content=b"".join(self._lines[at] for at in self._open),
            headers={"Content-Type": LINES_MEDIA_TYPE},
            hold_s=_LONGER_S,
            parts=answer.begin,
            read=answer.lines,
        )

    def pause_after(self, answer: list[_Line]) -> float | None:
        """Note what became of the tasks. Returns the seconds to the next request, None when there is none.

        Raises:
            Unreachable: The answer broke off, and there is no next try.
        """
        answered = {line.line: line for line in answer}
        retried: list[int] = []
        asked_s = 0.0
        for number, at in enumerate(self._open, 1):
            outcome = self._outcome(at, answered.get(number))
            again_s = (
                None if outcome is None or outcome.error is None else outcome.error.retry_after_s
            )
            if outcome is None or again_s is not None:
                retried.append(at)
                asked_s = max(asked_s, again_s or 0.0)
            if outcome is not None:
                self._found[at] = outcome
        self._open = retried
        return self._pause_for(asked_s) if retried else None

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what became of the tasks, in order."""
        return (self._found[at] for at in range(len(self._lines)))

    def _pause_for(self, asked_s: float) -> float | None:
        if all(at in self._found for at in self._open):
            return self._tries.pause_for(asked_s)
        return self._tries.pause_after_loss(httpx.ReadError("the answer broke off"))

    def _outcome(self, at: int, line: _Line | None) -> Outcome | None:
        if line is None:
            return None
        index = self._first + at
        if line.problem is not None:
            return Outcome(index=index, error=refusal(line.problem))
        return Outcome(index=index, id=line.id, was_there=line.status == _THERE)


class Cutter:
    """Cuts tasks into chunks."""

    def __init__(self, url: str, retries: int, most: int) -> None:
        self._url, self._retries, self._most = url, retries, most
        self._first = 0
        self._lines: list[bytes] = []
        self._size = 0
        # With the task's place it makes a key. Neighbours' keys are alike, which is cheap for the service's index.
        # Of a UUID's 36 characters, which a service takes that wants keys short, 11 are left for the place.
        self._keys = uuid4().hex[:_KEY_CHARS]

    def add(self, task: Mapping[str, Any]) -> Chunk | None:
        """Take a task; returns the chunk that was full before it."""
        if task.get("idempotency_key") is None:
            place = self._first + len(self._lines)
            task = {**task, "idempotency_key": f"{self._keys}-{place}"}
        line = json_bytes(task) + b"\n"
        full = None
        if self._lines and (len(self._lines) >= self._most or self._size + len(line) > _MOST_BYTES):
            full = self.rest()
        self._lines.append(line)
        self._size += len(line)
        return full

    def rest(self) -> Chunk | None:
        """Return the chunk of what was taken since the last one, None when that is nothing."""
        if not self._lines:
            return None
        tries = Tries(self._url, repeatable=True, retries=self._retries)
        chunk = Chunk(self._first, self._lines, tries)
        self._first += len(self._lines)
        self._lines, self._size = [], 0
        return chunk


def chunks(tasks: Iterable[Mapping[str, Any]], cutter: Cutter) -> Iterator[Chunk]:
    """Yield all tasks in chunks."""
    for task in tasks:
        if (full := cutter.add(task)) is not None:
            yield full
    if (rest := cutter.rest()) is not None:
        yield rest


async def achunks(tasks: Tasks, cutter: Cutter) -> AsyncIterator[Chunk]:
    """Yield all tasks in chunks."""
    if isinstance(tasks, Iterable):
        for chunk in chunks(tasks, cutter):
            yield chunk
        return
    async for task in tasks:
        if (full := cutter.add(task)) is not None:
            yield full
    if (rest := cutter.rest()) is not None:
        yield rest


class Collected:
    """The ids of many tasks, gathered; raises in the end when some are missing."""

    def __init__(self) -> None:
        self._ids: list[UUID | None] = []
        self._refused: dict[int, NotAccepted] = {}

    def add(self, outcome: Outcome) -> None:
        """Note what became of the next task."""
        self._ids.append(outcome.id)
        if outcome.error is not None:
            self._refused[outcome.index] = outcome.error

    def ids(self) -> list[UUID]:
        """Return all ids, in order. Raises `NotAllCreated`."""
        if self._refused:
            raise NotAllCreated(self._ids, self._refused)
        return [one for one in self._ids if one is not None]

    def cut(self) -> NotAllCreated:
        """Return what to raise when no more can be learnt."""
        return NotAllCreated(self._ids, self._refused, is_cut=True)

    def __len__(self) -> int:
        return len(self._ids)


class _Answer:
    """The answer's lines, read while the service still works on those that follow."""

    def begin(self) -> Callable[[bytes], None]:
        """Begin with an answer, perhaps after one that broke off."""
        self._lines: list[_Line] = []
        self._rest = b""
        self._fault: ValueError | None = None
        return self._take

    def lines(self, _: httpx.Response) -> list[_Line]:
        """Return all lines. Raises `ValueError` when one is no such line."""
        self._take(b"\n")
        if self._fault is not None:
            raise self._fault
        return self._lines

    def _take(self, part: bytes) -> None:
        *whole, self._rest = (self._rest + part).split(b"\n")
        try:
            self._lines += [_LINE.validate_json(line) for line in whole if line.strip()]
        except ValueError as error:
            self._fault = self._fault or error
