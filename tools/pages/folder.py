"""The folder in which a page is run: it looks like a fresh clone, and its ports are free ones.

It has links to all files of the repository, and a page's own files beside them. The ports that a page shows are
moved by the same number everywhere: in commands, in saved files, and back in output.
"""
# ruff: noqa: TID251 - a program of its own, which starts others

import os
import random
import re
import shlex
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ROOT", "Ports", "environment", "fresh_folder"]

ROOT = Path(__file__).resolve().parents[2]
# Files of a working copy that a clone does not have.
_NOT_LINKED = {".git", ".taskmill", ".env", "taskmill.toml"}
_PORT = re.compile(
    r"""(?P<before>(?:127\.0\.0\.1|localhost)(?::|",\ )|_PORT=)(?P<port>\d{4,5})\b"""
)
# Below the range for outgoing connections.
_LOWEST, _HIGHEST = 10_000, 32_000


class Ports:
    """Moves the ports of some pages by a number."""

    def __init__(self, texts: Iterable[str]) -> None:
        printed = {8000} | {int(found["port"]) for text in texts for found in _PORT.finditer(text)}
        self._by = _free_distance(printed)
        self._printed = printed

    def move(self, text: str) -> str:
        """Replace a page's ports with the real ones."""
        return _PORT.sub(lambda found: f"{found['before']}{int(found['port']) + self._by}", text)

    def move_back(self, text: str) -> str:
        """Replace the real ports in output with the page's ones."""
        return _PORT.sub(self._moved_back, text)

    def _moved_back(self, found: re.Match[str]) -> str:
        port = int(found["port"]) - self._by
        return f"{found['before']}{port}" if port in self._printed else found[0]


def _free_distance(ports: set[int]) -> int:
    for _ in range(1_000):
        by = random.randint(_LOWEST, _HIGHEST) - min(ports)  # noqa: S311 - no secret
        if max(ports) + by <= _HIGHEST and all(_is_free(port + by) for port in ports):
            return by
    raise RuntimeError(f"found no free ports that are as far from each other as {sorted(ports)}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def environment(folder: Path, ports: Ports, made: Path | None) -> Mapping[str, str]:
    """Return the environment of a reader's shell, with the address of this run's service, and with the sources."""
    others = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TASKMILL_", "PYTEST_"))
    }
    own = {
        "PATH": f"{folder}{os.pathsep}{others.get('PATH', os.defpath)}",
        "TASKMILL_API__PORT": ports.move("_PORT=8000").removeprefix("_PORT="),
        "TASKMILL_URL": ports.move("http://127.0.0.1:8000"),
        # As in a terminal, where curl shows no progress beside its output.
        "TASKMILL_LOG_FORMAT": "console",
        "CURL_HOME": str(folder.parent),
    }
    if made:
        own["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(ROOT / "src"), others.get("PYTHONPATH")])
        )
    return others | own


@contextmanager
def fresh_folder(made: Path | None) -> Iterator[Path]:
    """Make a folder like a clone, and remove it afterwards.

    Args:
        made: An environment that has the program already; with None, `./taskmill` makes the one of the clone.
    """
    # PostgreSQL's socket needs a short path.
    outer = Path(tempfile.mkdtemp(prefix="pages-"))
    folder = outer / "taskmill"
    folder.mkdir()
    (outer / ".curlrc").write_text("silent\nshow-error\n")
    for there in ROOT.iterdir():
        if there.name not in _NOT_LINKED and not there.name.startswith(".venv"):
            (folder / there.name).symlink_to(there)
    (folder / ".venv").symlink_to(made or ROOT / ".venv")
    if made:
        (folder / "taskmill").unlink()
        (folder / "taskmill").write_text(
            f'#!/bin/sh\nexec {shlex.quote(str(made / "bin" / "python"))} -m taskmill "$@"\n'
        )
        (folder / "taskmill").chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(outer)
