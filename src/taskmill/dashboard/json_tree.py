"""Renders JSON as a foldable tree, without a script, and bounded however large it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson
from markupsafe import Markup, escape

from taskmill.dashboard.direction import theirs

MOST_NODES: Final = 400
LONGEST_PARSED: Final = 200_000
_LONGEST_TEXT: Final = 2_000
_OPEN_DEPTH: Final = 2
_OPEN_ITEMS: Final = 30
# Payloads are never so deep; the properties of a message may be.
_DEEPEST: Final = 80


@dataclass(slots=True)
class _Room:
    """How many nodes may still be shown."""

    nodes: int = MOST_NODES


def tree(content: str) -> tuple[Markup, bool]:
    """Render JSON text as HTML; return it, and whether all of it is shown."""
    if len(content) > LONGEST_PARSED:
        return Markup('<pre class="code">{}…</pre>').format(theirs(content[:_LONGEST_TEXT])), False
    room = _Room()
    html = Markup("").join(_value(orjson.loads(content), room, 0))
    return Markup('<div class="tree">{}</div>').format(html), room.nodes > 0


def _value(value: object, room: _Room, depth: int) -> Iterator[Markup]:
    room.nodes -= 1
    if depth > _DEEPEST:
        room.nodes = 0
        yield Markup("…")
        return
    match value:
        case dict() if value:
            yield from _folded(
                "{}", [(f'"{key}"', part) for key, part in value.items()], room, depth
            )
        case list() if value:
            yield from _folded(
                "[]", [(str(number), part) for number, part in enumerate(value)], room, depth
            )
        case _:
            yield _leaf(value)


def _folded(
    brackets: str, items: list[tuple[str, object]], room: _Room, depth: int
) -> Iterator[Markup]:
    is_open = depth < _OPEN_DEPTH and len(items) <= _OPEN_ITEMS
    yield Markup("<details{}><summary><b>{}</b><i>{}</i><b>{}</b></summary><ul>").format(
        Markup(" open") if is_open else "", brackets[0], len(items), brackets[1]
    )
    for name, part in items:
        if room.nodes <= 0:
            yield Markup("<li>…</li>")
            break
        yield Markup("<li><span>{}</span> ").format(theirs(_cut(name)))
        yield from _value(part, room, depth + 1)
        yield Markup("</li>")
    yield Markup("</ul></details>")


def _leaf(value: object) -> Markup:
    shown = orjson.dumps(value).decode()
    if isinstance(value, str):
        return Markup('<q dir="auto">{}</q>').format(theirs(_cut(value)))
    return Markup("<code>{}</code>").format(escape(shown))


def _cut(content: str) -> str:
    return content if len(content) <= _LONGEST_TEXT else content[:_LONGEST_TEXT] + "…"
