"""Reads a page: what its reader types, saves, and should see.

Blocks in `sh` are commands, those in `console` are commands after `$ ` with their output, and one with a
`title="NAME"` is a file. All else is set by options in a comment before the block. Any other block is an error, so
that none is left out silently.
"""

import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

__all__ = ["Command", "File", "Interrupt", "NotRun", "Page", "PageError", "Step", "read"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\w*) *(?P<info>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_OPTION = re.compile(r"^.*<!-- run: *(.*?) *-->$")
_OPTIONS = (
    "append", "background", "file", "interrupt", "not", "output", "repeat", "roughly", "service", "status",
)  # fmt: skip


class PageError(Exception):
    """A page has something that can't be run; the message begins with the page and the line."""


@dataclass(slots=True, kw_only=True)
class Command:
    """A command; `expected` is None if the page does not show its output."""

    line: int
    text: str
    expected: str | None = None
    is_background: bool = False
    until: str | None = None
    repeats: bool = False
    roughly: bool = False
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to save."""

    line: int
    name: str
    text: str
    appends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """Ctrl-C in the terminal where a command runs whose text has these words."""

    line: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A block that can't be run, and why."""

    line: int
    reason: str


Step: TypeAlias = Command | File | Interrupt | NotRun


@dataclass(slots=True, kw_only=True)
class Page:
    """The steps of a page, in order, and whether they need a running service."""

    path: Path
    needs_service: bool = False
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    line: int  # of the first line within it
    language: str
    title: str | None
    lines: list[str]


def read(path: Path) -> Page:
    """Read a page.

    Raises:
        PageError: It can't be read, or has a block of no kind or an unknown option.
    """
    page = Page(path=path)
    options: dict[str, str] = {}
    for piece in _pieces(path):
        match piece:
            case _Block():
                page.steps += _steps(page, piece, options)
                options = {}
            case (line, "service", _):
                page.needs_service = True
            case (line, "interrupt", words):
                page.steps.append(Interrupt(line=line, words=words))
            case (line, word, value) if word in _OPTIONS:
                options[word] = value
            case (line, word, _):
                raise PageError(f"{path}:{line}: expected one of {', '.join(_OPTIONS)}, got {word}")
    return page


def _pieces(path: Path) -> Iterator[_Block | tuple[int, str, str]]:
    """Yield blocks, including hidden ones, and options from comments: line, name and value."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PageError(f"{path} can't be read: {error}") from None
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        fence = _FENCE.match(line)
        if option := _OPTION.match(line):
            word, _, value = option[1].partition(" ")
            yield at, word.rstrip(","), value.strip()
        elif fence or line.strip() == "<!-- run":
            closing = fence["ticks"] if fence else "-->"
            end = _find(lines, closing, at, path)
            inner = textwrap.dedent("\n".join(lines[at:end])).split("\n")
            title = _TITLE.search(fence["info"]) if fence else None
            yield _Block(
                line=at + 1,
                language=fence["language"] if fence else "console",
                title=title[1] if title else None,
                lines=inner,
            )
            at = end + 1


def _find(lines: list[str], closing: str, start: int, path: Path) -> int:
    for at in range(start, len(lines)):
        if lines[at].strip() == closing:
            return at
    raise PageError(f"{path}:{start}: this block has no end")


def _steps(page: Page, block: _Block, options: dict[str, str]) -> list[Step]:
    text = "\n".join(block.lines)
    name = options.get("file") or block.title
    if "not" in options:
        return [NotRun(line=block.line, reason=options["not"])]
    if "output" in options:
        command = _last_command(page, block)
        command.expected, command.roughly = text, "roughly" in options
        return []
    if name:
        appends = "append" in options
        return [File(line=block.line, name=name, text=f"{text}\n", appends=appends)]
    if block.language == "sh":
        return [_with_options(command, options) for command in _typed(block)]
    if block.language == "console" and block.lines[0].startswith("$ "):
        return [_with_options(command, options) for command in _shown(block)]
    raise PageError(
        f"{page.path}:{block.line}: the kind of this block is unknown: make it sh or console, give it a title, "
        "or put one of these before it: <!-- run: output -->, <!-- run: not, REASON -->"
    )


def _last_command(page: Page, block: _Block) -> Command:
    for step in reversed(page.steps):
        if isinstance(step, Command):
            return step
    raise PageError(f"{page.path}:{block.line}: there is no command before this output")


def _with_options(command: Command, options: dict[str, str]) -> Command:
    """Apply options from comments."""
    command.is_background = "background" in options
    command.until = options.get("background", "").removeprefix("until ") or None
    command.repeats = "repeat" in options
    command.roughly = "roughly" in options
    command.status = int(options.get("status", "0"))
    return command


def _typed(block: _Block) -> Iterator[Command]:
    """Yield the commands of a block of commands only."""
    remaining = list(enumerate(block.lines, block.line))
    while remaining:
        line, first = remaining.pop(0)
        if first.strip() and not first.lstrip().startswith("#"):
            yield Command(line=line, text=_whole(first, remaining))


def _shown(block: _Block) -> Iterator[Command]:
    """Yield the commands of a block, with their output."""
    remaining = list(enumerate(block.lines, block.line))
    while remaining:
        line, first = remaining.pop(0)
        text = _whole(first.removeprefix("$ "), remaining)
        printed = []
        while remaining and not remaining[0][1].startswith("$ "):
            printed.append(remaining.pop(0)[1])
        yield Command(line=line, text=text, expected="\n".join(printed))


def _whole(first: str, remaining: list[tuple[int, str]]) -> str:
    """Return a command with its continuation lines, which are taken from `remaining`."""
    text = first
    while remaining and not _is_whole(text):
        text += "\n" + remaining.pop(0)[1]
    return text


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    # bash prints nothing, unless a quote, a bracket or a here-document is still open.
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)  # noqa: S603, S607 - it runs nothing
    return done.returncode == 0 and not done.stderr
