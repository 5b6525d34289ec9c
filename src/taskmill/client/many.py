"""Creates any number of tasks: cuts them into requests of lines, and collects the outcomes.

Every task has a key, its own or one made here, so that a request whose response was lost can be sent again. Only
the tasks of one request are in memory at a time.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

from taskmill.client.chunks import Chunk, Room
from taskmill.client.errors import NotAccepted, NotAllCreated
from taskmill.client.json_text import json_bytes
from taskmill.client.tries import Tries

Tasks: TypeAlias = Iterable[Mapping[str, Any]]
AsyncTasks: TypeAlias = Tasks | AsyncIterable[Mapping[str, Any]]

MOST_LINES: Final = 10_000
# A service takes 32 MiB unless it is set otherwise.
_MOST_BYTES: Final = 8 * 2**20
_KEY_CHARS: Final = 24


class Cutter:
    """Cuts tasks into chunks."""

    def __init__(self, url: str, retries: int, most: int) -> None:
        self._new_tries = partial(Tries, url, repeatable=True, retries=retries)
        self._most = most
        self._room = Room(size=_MOST_BYTES)
        self._first = 0
        self._lines: list[bytes] = []
        self._size = 0
        # Prefix of keys, before the task's position. Keys of neighbours are alike, which is cheap for the
        # service's index. A key has at most 36 characters, as a UUID: 11 of them are for the position.
        self._keys = uuid4().hex[:_KEY_CHARS]

    def add(self, task: Mapping[str, Any]) -> Chunk | None:
        """Take a task; returns the previous chunk if that is full."""
        if task.get("idempotency_key") is None:
            position = self._first + len(self._lines)
            task = {**task, "idempotency_key": f"{self._keys}-{position}"}
        line = json_bytes(task) + b"\n"
        full = None
        is_full = len(self._lines) >= self._most or self._size + len(line) > self._room.size
        if self._lines and is_full:
            full = self.flush()
        self._lines.append(line)
        self._size += len(line)
        return full

    def flush(self) -> Chunk | None:
        """Return a chunk of the tasks since the last one, None if there are none."""
        if not self._lines:
            return None
        chunk = Chunk(self._first, self._lines, self._room, self._new_tries)
        self._first += len(self._lines)
        self._lines, self._size = [], 0
        return chunk


def chunks(tasks: Tasks, cutter: Cutter) -> Iterator[Chunk]:
    """Yield all tasks in chunks."""
    for task in tasks:
        if (full := cutter.add(task)) is not None:
            yield full
    if (last := cutter.flush()) is not None:
        yield last


async def async_chunks(tasks: AsyncTasks, cutter: Cutter) -> AsyncIterator[Chunk]:
    """Yield all tasks in chunks."""
    if isinstance(tasks, Iterable):
        for chunk in chunks(tasks, cutter):
            yield chunk
        return
    async for task in tasks:
        if (full := cutter.add(task)) is not None:
            yield full
    if (last := cutter.flush()) is not None:
        yield last


class Collected:
    """Collects the ids of many tasks; raises in the end if some are missing."""

    def __init__(self) -> None:
        self._ids: list[UUID | None] = []
        self._refused: dict[int, NotAccepted] = {}

    def add(self, chunk: Chunk) -> None:
        """Note the outcomes of the next tasks."""
        known = chunk.known_ids()
        self._ids += known
        for at, error in chunk.refused().items():
            if at < len(known):
                self._refused[chunk.first + at] = error

    def ids(self) -> list[UUID]:
        """Return all ids, in order. Raises `NotAllCreated`."""
        if self._refused:
            raise NotAllCreated(self._ids, self._refused)
        return [one for one in self._ids if one is not None]

    def cut(self) -> NotAllCreated:
        """Return the error to raise when the service is unreachable."""
        return NotAllCreated(self._ids, self._refused, is_cut=True)

    def __len__(self) -> int:
        return len(self._ids)
