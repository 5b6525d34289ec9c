"""Finds a RabbitMQ on this machine, installed or fetched earlier; it fetches and starts nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SERVER = "rabbitmq-server"
_INSTALLED = (
    "usr/lib/rabbitmq/bin",
    "opt/homebrew/opt/rabbitmq/sbin",
    "usr/local/opt/rabbitmq/sbin",
    "opt/rabbitmq/sbin",
)
_ERLANG = ("usr/lib/erlang/bin", "opt/homebrew/opt/erlang/bin", "usr/local/opt/erlang/bin")
# Debian's /usr/sbin/rabbitmq-server becomes the user "rabbitmq" by `su`, which only root may do; the
# real script is the one that reads this file beside it.
_REAL_SCRIPT_READS = "rabbitmq-env"


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQPrograms:
    """One RabbitMQ and the Erlang that runs it."""

    server: Path
    erlang: Path
    version: str

    @property
    def epmd(self) -> Path:
        """The program by which Erlang's nodes find each other."""
        beside = self.erlang / "epmd"
        if beside.exists():
            return beside
        return next(self.erlang.parent.glob("erts-*/bin/epmd"), beside)


def find_installed(root: Path = Path("/")) -> RabbitMQPrograms | None:
    """The first usable RabbitMQ that is installed below `root` or, on the whole system, on PATH."""
    whole_system = root == Path("/")
    folders = [root / folder for folder in _INSTALLED]
    erlangs = [root / folder for folder in _ERLANG]
    if whole_system:
        folders += _on_path(_SERVER)
        erlangs = [*_on_path("erl"), *erlangs]
    for server in _servers(folders):
        for erlang in erlangs:
            if runs(erlang):
                return RabbitMQPrograms(server=server, erlang=erlang, version=_version_of(server))
    return None


def runs(erlang: Path) -> bool:
    """Whether the Erlang in the folder `erlang` starts on this machine."""
    if not (erlang / "erl").is_file():
        return False
    try:
        # S603: a fixed place, or one on the operator's PATH.
        done = subprocess.run([erlang / "erl", "+V"], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def _servers(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        script = folder / _SERVER
        is_program = script.is_file() and os.access(script, os.X_OK)
        if is_program and _REAL_SCRIPT_READS in script.read_text(errors="replace"):
            yield script


def _on_path(program: str) -> list[Path]:
    found = shutil.which(program)
    # Resolved: a link elsewhere has no `rabbitmq-env` and no `epmd` beside it.
    return [Path(found).resolve().parent] if found else []


def _version_of(server: Path) -> str:
    """The version, from the folder `rabbitmq_server-4.0.5` or a package manager's `4.0.5`."""
    match = re.search(r"(\d+\.\d+[\w.]*)", str(server.resolve()))
    return match[1] if match else "unknown"
