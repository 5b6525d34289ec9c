"""A page of tasks in JSON, piece by piece: one of 5 MB in one call would keep the event loop for 10 ms.

What a page has is in `tasks` (`TaskList`).
"""

from collections.abc import Iterator, Sequence
from typing import Final

from taskmill.wire.encoding import encode_json
from taskmill.wire.masking import ShownTask
from taskmill.wire.tasks import task_json

# As many as a page has unless more are asked for.
_PIECE_TASKS: Final = 50
# A piece ends with the task that brings it to so many bytes.
_PIECE_BYTES: Final = 256 * 1024


def tasks_page_pieces(
    tasks: Sequence[ShownTask],
    *,
    total: int | None,
    next_cursor: str | None,
    total_at_least: int | None = None,
) -> Iterator[bytes]:
    """Yield a page as a `TaskList` in JSON; each piece is rendered when it is asked for.

    `total_at_least` is shown when there is no total. A small page has one piece.
    """
    page: dict[str, object] = {"total": total}
    if total is None:
        page["total_at_least"] = total_at_least
    page["next_cursor"] = next_cursor
    piece = b'{"items":['
    for number, rendered in enumerate(_pieces(tasks)):
        if number:
            yield piece
            piece = b","
        piece += rendered
    yield piece + b"]," + encode_json(page)[1:]


def _pieces(tasks: Sequence[ShownTask]) -> Iterator[bytes]:
    """Yield the tasks in JSON, separated by commas."""
    rendered: list[bytes] = []
    size = 0
    for task in tasks:
        rendered.append(task_json(task))
        size += len(rendered[-1])
        if size >= _PIECE_BYTES or len(rendered) == _PIECE_TASKS:
            yield b",".join(rendered)
            rendered, size = [], 0
    if rendered:
        yield b",".join(rendered)
