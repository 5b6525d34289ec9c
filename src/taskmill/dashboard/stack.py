"""Reads Python's tracebacks: what was raised, and which of the frames are the handler's own code.

Own is what is neither an installed package, nor Python's library, nor Taskmill. What is no traceback of Python, or
is one of a group of exceptions, is shown as it is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from taskmill.dashboard.wording import shortened

LONGEST: Final = 20_000
_LONGEST_READ: Final = 200_000
_LONGEST_TITLE: Final = 2_000
_LONGEST_SOURCE: Final = 500
_MOST_OWN: Final = 10
_INDENT: Final = "    "
_HEAD: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'  File "(.+)", line ([0-9]{1,9})(?:, in (.+))?')
_BETWEEN: Final = re.compile(
    r"\n\n(The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n\n"
)
_OTHERS: Final = re.compile(
    r"[/\\](site-packages|dist-packages|python3(\.[0-9]+)?)[/\\]"
    r"|[/\\]Lib[/\\]"
    r"|[/\\]taskmill[/\\](app|observability|runtime|worker)[/\\]"
    r"|<"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A call: its function, its file and line, and the line itself if the traceback has it."""

    function: str
    file: str
    line: int
    source: str

    @property
    def is_own(self) -> bool:
        """Whether it is the handler's own code."""
        return not _OTHERS.search(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception: its title, which is class and message, and its frames, the innermost first."""

    title: str
    frames: Sequence[Frame]

    @property
    def own(self) -> Sequence[Frame]:
        """The innermost frames of the handler's own code; if it has none, the innermost one of all."""
        own = [frame for frame in self.frames if frame.is_own]
        return (own or self.frames)[: _MOST_OWN if own else 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A traceback, or its end if it is very long; `raised` begins with what was raised last, before its causes."""

    text: str
    raised: Sequence[Raised]

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return sum(len(one.frames) for one in self.raised)


def read_stack(text: str) -> Stack:
    """Read a traceback; without `raised` if it is none that can be read."""
    parts = _BETWEEN.split(text[-_LONGEST_READ:])[::2]
    raised = [_raised(part) for part in reversed(parts)]
    shown = text if len(text) <= LONGEST else "…" + text[-LONGEST:]
    return Stack(text=shown, raised=[one for one in raised if one is not None])


def _raised(part: str) -> Raised | None:
    _, head, rest = part.partition(_HEAD + "\n")
    lines = rest.split("\n")
    end = next((n for n, line in enumerate(lines) if not line.startswith("  ")), len(lines))
    frames = list(_frames(lines[:end])) if head else []
    if not frames:
        return None
    title = shortened("\n".join(lines[end:]).strip(), _LONGEST_TITLE)
    return Raised(title=title, frames=frames[::-1])


def _frames(lines: Sequence[str]) -> Iterator[Frame]:
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if found := _FRAME.fullmatch(line):
            file, number, function = found.groups()
            source = following.strip() if following.startswith(_INDENT) else ""
            yield Frame(
                function=function or "",
                file=file,
                line=int(number),
                source=shortened(source, _LONGEST_SOURCE),
            )
