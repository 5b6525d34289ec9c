"""Fetches RabbitMQ and Erlang from the distribution's archive, without root and without installing.

Debian and Ubuntu only: `apt-get` does it with state of its own, so the system stays as it is. The result is in the
user's cache, complete or not at all. It starts nothing. Run as a program it prints where RabbitMQ is, fetching it
when there is none.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from taskmill.embedded.errors import FetchFailedError
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms, find_installed, runs

ANNOUNCEMENT = "fetching RabbitMQ (about 66 MB, once) ..."

_TREE = "tree"
_SIDE = "fetching-"
_NO_INSTALL = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
_WANTED = re.compile(r"^(rabbitmq-server|erlang-[a-z0-9-]+)$", re.MULTILINE)
# Debian's script names the folder where its package would be; this finds the folder where it is.
_FIXED_ROOT = re.compile(r'^(\s*)ROOTDIR="?/usr/lib/erlang"?\s*$', re.MULTILINE)
_OWN_FOLDER = 'ROOTDIR=$(dirname "$(readlink -f "$0")")'
_UP = "; ROOTDIR=${ROOTDIR%/*}"


def find_or_fetch(announce: Callable[[str], None]) -> RabbitMQPrograms:
    """Return an installed RabbitMQ, else a fetched one; fetch it first when there is none.

    Calls `announce` and blocks for about 10 s when it has to fetch; safe to call from any thread and from several
    processes at once.

    Raises:
        FetchFailedError: there is none and it can't be fetched; the message says why.
    """
    return find_present() or _fetch(cache_folder(), announce)


def find_present() -> RabbitMQPrograms | None:
    """Return the RabbitMQ that is on this machine, installed or fetched earlier."""
    return find_installed() or find_fetched(cache_folder())


def why_not_fetchable() -> str | None:
    """Why this machine can't fetch it, whatever the network; None when it can try."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            return f"it is taken from Debian's or Ubuntu's archive, and here is no {program}"
    return None


def cache_folder() -> Path:
    """The folder of this user's fetched programs, by the XDG rules; HOME need not be set."""
    # The rules say to ignore an entry that is not absolute.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = chosen if chosen.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        base = Path(tempfile.gettempdir()) / f"cache-{os.geteuid()}"
    return base / "taskmill" / "rabbitmq"


def find_fetched(cache: Path) -> RabbitMQPrograms | None:
    """The RabbitMQ that an earlier call has put into `cache`."""
    return find_installed(cache / _TREE)


def _fetch(cache: Path, announce: Callable[[str], None]) -> RabbitMQPrograms:
    if trouble := why_not_fetchable():
        raise FetchFailedError(trouble)
    with _fetch_lock(cache):
        # Another process may have fetched it while this one waited.
        if found := find_fetched(cache):
            return found
        announce(ANNOUNCEMENT)
        for left in cache.glob(f"{_SIDE}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_SIDE, dir=cache) as side:
            _unpack(Path(side), _download(Path(side)))
            _install(Path(side) / _TREE, cache / _TREE)
    if found := find_fetched(cache):
        return found
    raise FetchFailedError(f"what was fetched into {cache} does not run")


@contextmanager
def _fetch_lock(cache: Path) -> Iterator[None]:
    """Let one process fetch at a time."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(cache / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        why = (
            f"{cache} can't be written ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        )
        raise FetchFailedError(why) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _download(side: Path) -> list[Path]:
    """Download the packages into `side`, with apt's lists and caches there too."""
    (side / "lists" / "partial").mkdir(parents=True)
    (side / "cache" / "archives" / "partial").mkdir(parents=True)
    (side / "packages").mkdir()
    packages = side / "packages"
    settings = {
        "Dir::State": side,
        "Dir::State::Lists": side / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": side / "cache",
        "Debug::NoLocking": "1",
        # Root would otherwise become a user who may not write here; for others it has no effect.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "2",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    get = ["apt-get", "-qq", *options]
    _run([*get, "update"], packages)
    without = [f"--no-{kind}" for kind in _NO_INSTALL]
    depends = ["apt-cache", *options, "depends", "--recurse", *without, "rabbitmq-server"]
    names = sorted(set(_WANTED.findall(_run(depends, packages))))
    _run([*get, "download", *names], packages)
    return sorted(packages.glob("*.deb"))


def _unpack(side: Path, packages: list[Path]) -> None:
    tree = side / _TREE
    for package in packages:
        _run(["dpkg-deb", "-x", str(package), str(tree)], side)
    erlang = tree / "usr" / "lib" / "erlang"
    for depth, pattern in ((1, "bin/*"), (2, "erts-*/bin/*")):
        for script in erlang.glob(pattern):
            _make_relocatable(script, depth)
    if not runs(erlang / "bin"):
        raise FetchFailedError("the fetched Erlang does not run on this machine")


def _make_relocatable(script: Path, depth: int) -> None:
    """Have a script of Erlang's find Erlang's folder, `depth` levels above its own, wherever that is moved."""
    if script.is_symlink() or not script.is_file():
        return
    with script.open("rb") as file:
        if file.read(2) != b"#!":
            return
    text = script.read_text()
    own_root = _OWN_FOLDER + _UP * depth
    script.write_text(_FIXED_ROOT.sub(lambda found: found[1] + own_root, text))


def _install(tree: Path, target: Path) -> None:
    """Rename the tree to its target, replacing an old one that does not run."""
    shutil.rmtree(target, ignore_errors=True)
    tree.rename(target)


def _run(command: list[str], folder: Path) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run(  # noqa: S603 - fixed words and our own paths
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        raise FetchFailedError(f"{command[0]} failed", done.stderr)
    return done.stdout


def main() -> int:
    """Print where RabbitMQ is, fetching it when there is none; return the exit status."""
    # Exit in order, so that a partial download is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        found = find_or_fetch(_print)
    except FetchFailedError as error:
        _print(str(error))
        return 1
    _print(f"RabbitMQ {found.version} is at {found.server}")
    return 0


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
