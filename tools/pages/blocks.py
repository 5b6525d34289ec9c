"""Reads a page: what its reader types, what they save, and what they are to see.

Blocks in `sh` are commands, those in `console` are commands after `$ ` with what they print, and one with a
`title="NAME"` is a file. Whatever can't be seen from that is said in a comment before the block. A block that is
nothing of all this is an error, so that none is left out in silence.
"""

import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

__all__ = ["Command", "File", "Interrupt", "NotRun", "Page", "PageError", "Step", "read"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\w*) *(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_SAID = re.compile(r"^.*<!-- run: *(.*?) *-->$")
_WORDS = (
    "append", "background", "file", "interrupt", "not", "output", "repeat", "roughly", "service", "status",
)  # fmt: skip


class PageError(Exception):
    """A page says something that can't be run; the message begins with its place."""


@dataclass(slots=True, kw_only=True)
class Command:
    """A command; `expected` is None where the page does not show what it prints."""

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
    """Something to save."""

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
    """What is to be done, in order; and whether a service is to run meanwhile."""

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
        PageError: It can't be read, a block is of no kind, or a comment says something unknown.
    """
    page = Page(path=path)
    said: dict[str, str] = {}
    for piece in _pieces(path):
        match piece:
            case _Block():
                page.steps += _steps(page, piece, said)
                said = {}
            case (line, "service", _):
                page.needs_service = True
            case (line, "interrupt", words):
                page.steps.append(Interrupt(line=line, words=words))
            case (line, word, rest) if word in _WORDS:
                said[word] = rest
            case (line, word, _):
                raise PageError(f"{path}:{line}: expected one of {', '.join(_WORDS)}, got {word}")
    return page


def _pieces(path: Path) -> Iterator[_Block | tuple[int, str, str]]:
    """Yield blocks, hidden ones too, and what comments say: line, word and the rest."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PageError(f"{path} can't be read: {error}") from None
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        fence = _FENCE.match(line)
        if said := _SAID.match(line):
            word, _, rest = said[1].partition(" ")
            yield at, word.rstrip(","), rest.strip()
        elif fence or line.strip() == "<!-- run":
            closing = fence["ticks"] if fence else "-->"
            end = _find(lines, closing, at, path)
            inner = textwrap.dedent("\n".join(lines[at:end])).split("\n")
            title = _TITLE.search(fence["rest"]) if fence else None
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


def _steps(page: Page, block: _Block, said: dict[str, str]) -> list[Step]:
    text = "\n".join(block.lines)
    name = said.get("file") or block.title
    if "not" in said:
        return [NotRun(line=block.line, reason=said["not"])]
    if "output" in said:
        command = _last_command(page, block)
        command.expected, command.roughly = text, "roughly" in said
        return []
    if name:
        appends = "append" in said
        return [File(line=block.line, name=name, text=f"{text}\n", appends=appends)]
    if block.language == "sh":
        return [_told(command, said) for command in _typed(block)]
    if block.language == "console" and block.lines[0].startswith("$ "):
        return [_told(command, said) for command in _shown(block)]
    raise PageError(
        f"{page.path}:{block.line}: nothing says what this block is: make it sh or console, give it a title, "
        "or put one of these before it: <!-- run: output -->, <!-- run: not, REASON -->"
    )


def _last_command(page: Page, block: _Block) -> Command:
    for step in reversed(page.steps):
        if isinstance(step, Command):
            return step
    raise PageError(f"{page.path}:{block.line}: there is no command before this output")


def _told(command: Command, said: dict[str, str]) -> Command:
    """Add what comments say of it."""
    command.is_background = "background" in said
    command.until = said.get("background", "").removeprefix("until ") or None
    command.repeats = "repeat" in said
    command.roughly = "roughly" in said
    command.status = int(said.get("status", "0"))
    return command


def _typed(block: _Block) -> Iterator[Command]:
    """Yield the commands of a block that has nothing else."""
    rest = list(enumerate(block.lines, block.line))
    while rest:
        line, first = rest.pop(0)
        if first.strip() and not first.lstrip().startswith("#"):
            yield Command(line=line, text=_whole(first, rest))


def _shown(block: _Block) -> Iterator[Command]:
    """Yield the commands of a block with what they print."""
    rest = list(enumerate(block.lines, block.line))
    while rest:
        line, first = rest.pop(0)
        text = _whole(first.removeprefix("$ "), rest)
        printed = []
        while rest and not rest[0][1].startswith("$ "):
            printed.append(rest.pop(0)[1])
        yield Command(line=line, text=text, expected="\n".join(printed))


def _whole(first: str, rest: list[tuple[int, str]]) -> str:
    """Return a command with the lines that it goes on in, which are taken from `rest`."""
    text = first
    while rest and not _is_whole(text):
        text += "\n" + rest.pop(0)[1]
    return text


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    # It says nothing, unless a quote, a bracket or a here-document is still open.
    done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)  # noqa: S603, S607 - it runs nothing
    return done.returncode == 0 and not done.stderr
