"""Checkouts of this repository that are measured beside each other: this one, and another revision."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.programs import ROOT, ProgramFailed

NOW = "this checkout"


@contextmanager
def compared(before: str | None, folder: Path) -> Iterator[Mapping[str, Path]]:
    """Return this checkout and, if a revision is given, one of that below `folder`, until the block ends.

    Raises:
        ProgramFailed: there is no git, or no such revision.
    """
    if before is None:
        yield {NOW: ROOT}
        return
    with checked_out(before, folder / "before") as checkout:
        yield {NOW: ROOT, before: checkout}


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Check a revision out into a folder until the block ends.

    Raises:
        ProgramFailed: there is no git, or no such revision.
    """
    _git("worktree", "add", "--detach", "--force", str(folder), revision)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> None:
    git = shutil.which("git")
    if git is None:
        raise ProgramFailed("another revision needs git")
    done = subprocess.run(  # noqa: S603 - git, with a revision that its caller gave
        [git, "-C", str(ROOT), *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise ProgramFailed(f"git {arguments[0]} {arguments[1]}: {done.stderr.strip()}")
