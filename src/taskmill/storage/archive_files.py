"""Files of archived weeks: their names, how one is written so that none is half there, and how they are read.

`2026w30.ndjson.gz` has the tasks of a week in the order of their ids, compressed, each with its history and its
log in one line of JSON. Its first line is about the file. What else was archived of that week later is in
`2026w30-2.ndjson.gz`. What is still being written has another name, which nobody reads; a file is there when all
of it is on disk. It knows no database.
"""

import gzip
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from uuid import UUID

from taskmill.domain.errors import ConfigurationError

FORMAT: Final = 1
_ENDING: Final = ".ndjson.gz"
_UNFINISHED: Final = ".unfinished"
_WEEK: Final = re.compile(r"[0-9]{4}w[0-9]{2}")
_NAME: Final = re.compile(
    rf"(?P<week>{_WEEK.pattern})(?:-(?P<number>[0-9]{{1,9}}))?{re.escape(_ENDING)}"
)
# The first line is written last, over a place of this length that was left for it: so it is not compressed.
_HEADER_BYTES: Final = 256
_STORED: Final = 0
# The level that `gzip` has by default.
_LEVEL: Final = 6
_BYTES_AT_ONCE: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedWeek:
    """A file of the archive: its week, how many tasks it has, its size, and when it was written."""

    week: str
    tasks: int
    bytes: int
    written_at: datetime
    path: Path


class ArchiveWriter:
    """Writes the file of a week. It takes its place when it is finished, else it is deleted.

    The file may be read and written by its owner only: it has payloads.
    """

    def __init__(self, folder: Path, week: str) -> None:
        self._folder = folder
        self._week = week
        self.tasks = 0
        """How many were added."""
        self._is_finished = False
        # With mode 0600.
        number, name = tempfile.mkstemp(prefix=f"{week}-", suffix=_UNFINISHED, dir=folder)
        self._path = Path(name)
        self._file: IO[bytes] = os.fdopen(number, "wb")
        self._file.write(_header({}))
        self._file.flush()
        self._tasks_file = gzip.GzipFile("", "wb", _LEVEL, self._file, mtime=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_finished:
            return
        try:
            self._file.close()  # on a full disk that fails, too
        finally:
            self._path.unlink(missing_ok=True)

    def add(self, lines: Iterable[str]) -> None:
        """Add tasks, each a line of JSON without its end. It blocks."""
        for line in lines:
            self._tasks_file.write(line.encode() + b"\n")
            self.tasks += 1

    def finish(self, written_at: datetime) -> Path:
        """Bring all of it to the disk, put the file into its place, and return its path. It blocks.

        It replaces a file with the same tasks, and no other one: a week may have been made again after its end.
        """
        self._tasks_file.close()
        about = {
            "archive": FORMAT,
            "week": self._week,
            "tasks": self.tasks,
            "written_at": written_at.isoformat(timespec="seconds"),
        }
        self._file.seek(0)
        self._file.write(_header(about))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        place = _place(self._folder, self._week, self._path)
        self._path.replace(place)
        self._is_finished = True
        _sync_folder(self._folder)
        return place


def _place(folder: Path, week: str, path: Path) -> Path:
    """Return the first name of a week that is free, or is that of a file with the same tasks."""
    names = (_path_of(folder, week, number) for number in count(1))
    return next(name for name in names if not name.exists() or _has_same_tasks(name, path))


def _has_same_tasks(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        for file in (left, right):
            file.seek(len(_header({})))
        parts = zip(_parts(left), _parts(right), strict=True)
        return all(part == same for part, same in parts)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, _BYTES_AT_ONCE), b"")


def _header(about: dict[str, object]) -> bytes:
    line = json.dumps(about).ljust(_HEADER_BYTES - 1) + "\n"
    return gzip.compress(line.encode(), _STORED, mtime=0)


def _sync_folder(folder: Path) -> None:
    """Bring a new name to the disk: the file alone may be there without it after a power cut."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def trouble_with(folder: Path) -> str | None:
    """Return why no file can be written into a folder, None if nothing is known against it."""
    try:
        if not folder.exists():
            return "there is no such folder"
        if not folder.is_dir():
            return "it is not a folder"
    except OSError as error:
        return str(error)
    return None if os.access(folder, os.W_OK | os.X_OK) else "nothing may be written into it"


def delete_unfinished(folder: Path) -> None:
    """Delete what a process that was killed has left. Only who alone may write to the archive may call it."""
    for path in folder.glob(f"*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _path_of(folder: Path, week: str, number: int) -> Path:
    return folder / (f"{week}{_ENDING}" if number == 1 else f"{week}-{number}{_ENDING}")


def is_week(text: str) -> bool:
    """Return whether a text is a week's name, such as 2026w30."""
    return _WEEK.fullmatch(text) is not None


def files_in(folder: Path, week: str | None = None) -> list[Path]:
    """Return the files in a folder, or of a week: the oldest week first, and of a week what was written first.

    Raises:
        ConfigurationError: the folder can't be read.
    """
    try:
        named = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    except OSError as error:
        raise ConfigurationError(f"the archive can't be read: {error}") from error
    found = [
        (name["week"], int(name["number"] or 1), path)
        for name, path in named
        if name and week in (None, name["week"])
    ]
    return [path for _, _, path in sorted(found)]


def archived_weeks(folder: Path, week: str | None = None) -> list[ArchivedWeek]:
    """Return what is known about the files in a folder, or about those of a week, in the order of `files_in`.

    Raises:
        ConfigurationError: the folder, or one of these files, can't be read.
    """
    return [archived_week(path) for path in files_in(folder, week)]


def archived_week(path: Path) -> ArchivedWeek:
    """Return what the first line of a file says.

    Raises:
        ConfigurationError: it can't be read, or is not a file of an archive.
    """
    known = _parsed(path, next(_lines(path), "{}"))
    if known.get("archive") != FORMAT:
        raise ConfigurationError(f"{path} is not a file of an archive that this version reads")
    return ArchivedWeek(
        week=known["week"],
        tasks=known["tasks"],
        bytes=path.stat().st_size,
        written_at=datetime.fromisoformat(known["written_at"]).astimezone(UTC),
        path=path,
    )


def _parsed(path: Path, line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error
    return parsed if isinstance(parsed, dict) else {}


def tasks_of(path: Path) -> Iterator[str]:
    """Yield the lines of a file's tasks, in the order of their ids. Raises as `archived_week` does."""
    lines = _lines(path)
    next(lines, None)
    yield from lines


def find_task(path: Path, task_id: UUID) -> str | None:
    """Return the line of a task in a file, None when it has no such task. Raises as `archived_week` does."""
    wanted = str(task_id)
    for line in tasks_of(path):
        if wanted in line and _parsed(path, line)["task"]["id"] == wanted:
            return line
    return None


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield line.rstrip("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error
