"""Makes a virtual environment that holds exactly what a hashed lock file names.

`make_environment.py FOLDER LOCK WANTED`, called by environment.sh with the Python to build on. Uses
uv if there is one, else pip, which it searches in many places, as fresh systems come without it.
Several calls at once wait for each other. It needs the standard library only, and changes nothing
outside FOLDER.
"""
# ruff: noqa: INP001, T201, S603, TID251 - a program of its own that prints and runs our own commands

import fcntl
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
PIP_WHEELS = "usr/share/python-wheels/pip-*.whl"
OTHER_PYTHONS = [f"python3.{minor}" for minor in range(14, 8, -1)] + ["python3", "/usr/bin/python3"]


OWN_PACKAGES_HINT = (
    "For your own packages, make an environment in your own folder (docs/how-to/own-handlers.md)."
)
# On the disk, in MB, with bytecode, which uv leaves out; a test compares. What is fetched is about a third of it.
SIZES = {"run.txt": 180, "test.txt": 840}
REPORT_EVERY_S = 10.0


class CannotMakeError(Exception):
    """The environment cannot be made; the message says what to do."""


def main(folder: Path, lock: Path, wanted: str) -> None:
    """Make `folder` from `lock` unless another call has just done so."""
    with (folder.parent / f"{folder.name}.lock").open("w") as guard:
        wait_for(guard.fileno())
        complete = folder / ".complete"
        fresh = is_fresh(folder, complete, stamp_for(folder, lock, wanted))
        for copy in copies(folder):
            report(f"{copy} is an installed copy of Taskmill, which hides the source beside it.")
            report(f"It is removed: {folder} is Taskmill's own. {OWN_PACKAGES_HINT}")
            remove_copy(copy)
        if fresh:
            return
        if folder.exists() and not complete.exists():
            report(f"{folder} was changed; it is made again. {OWN_PACKAGES_HINT}")
        started = time.monotonic()
        version = ".".join(map(str, sys.version_info[:3]))
        report(
            f"making {folder.name} from {lock.relative_to(ROOT)} with Python {version} (only once)"
        )
        report(f"{size_of(lock)}; every {REPORT_EVERY_S:.0f} s it prints that it goes on")
        make(folder, lock)
        add_source(folder)
        complete.write_text(stamp_for(folder, lock, wanted))
        report(f"{folder.name} is ready after {time.monotonic() - started:.0f} s")


def report(text: str) -> None:
    """Report progress where it does not mix with the program's output."""
    print(f"taskmill: {text}", file=sys.stderr, flush=True)


def wait_for(guard: int) -> None:
    """Take the lock that the kernel frees when its holder ends, however it ends."""
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        report("another start is making the environment; waiting for it")
        fcntl.flock(guard, fcntl.LOCK_EX)


def stamp_for(folder: Path, lock: Path, wanted: str) -> str:
    """What environment.sh compares: the lock's checksum, the interpreter, the requested Python."""
    with lock.open("rb") as content:
        checksum = subprocess.run(["cksum"], stdin=content, capture_output=True, check=True).stdout  # noqa: S607 - POSIX
    interpreter = (folder / "bin" / "python").resolve()
    return f"{checksum.decode().strip()}\n{interpreter}\nwanted: {wanted}\n"


def size_of(lock: Path) -> str:
    """Return how many packages a lock names, and about how large they are."""
    names = re.findall(r"^[A-Za-z0-9][^\s;]*==", lock.read_text(), re.MULTILINE)
    size = f", about {SIZES[lock.name]} MB on the disk" if names and lock.name in SIZES else ""
    return f"{len(names)} packages{size}"


def copies(folder: Path) -> list[Path]:
    """Find installed copies of this package."""
    return [copy for copy in folder.glob("lib/python3*/site-packages/taskmill") if copy.is_dir()]


def remove_copy(copy: Path) -> None:
    """Remove an installed package, with its metadata of pip."""
    for path in (copy, *copy.parent.glob("taskmill-*.dist-info")):
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise CannotMakeError(
                f"{path} cannot be removed ({error.strerror}). Remove it."
            ) from error


def is_fresh(folder: Path, complete: Path, stamp: str) -> bool:
    """Whether another call has made what this one wants."""
    can_run = os.access(folder / "bin" / "python", os.X_OK)
    return can_run and complete.exists() and complete.read_text() == stamp


def make(folder: Path, lock: Path) -> None:
    """Make the environment by the first way that works."""
    failures = []
    for name, make_venv, install in ways(folder, lock):
        remove(folder)
        report(f"installing with {name}")
        failure = run(make_venv)
        can_install = failure is None
        failure = failure or run(install)
        if failure is None:
            return
        failures.append(f"with {name}: {failure}")
        if can_install and name != "uv":
            break  # pip works and could not install it: another pip would fail, too
    raise CannotMakeError(
        "\n".join(failures)
        or f"{BASE_PYTHON} has no pip, and none was found elsewhere. Install it (Debian: apt-get "
        "install python3-venv; others: python3-pip, or uv), then start again."
    )


def remove(folder: Path) -> None:
    """Remove the remains of an earlier try, another Python or another lock."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise CannotMakeError(
            f"{folder} cannot be replaced ({error.strerror}). Remove it, or use your own clone."
        ) from error


def ways(folder: Path, lock: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """The ways that this system offers, best first: a name, and the two commands."""
    python = str(folder / "bin" / "python")
    install = ["install", "--require-hashes", "--requirement", str(lock)]
    from_pip = [*install, "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    bare = [BASE_PYTHON, "-m", "venv", "--without-pip", str(folder)]

    uv = shutil.which("uv")
    if uv and works([uv, "--version"]):
        venv = [uv, "venv", "--no-project", "--python", BASE_PYTHON, str(folder)]
        yield "uv", venv, [uv, "pip", *install, "--python", python]
    if works([BASE_PYTHON, "-c", "import ensurepip; ensurepip.version()"]):
        venv = [BASE_PYTHON, "-m", "venv", str(folder)]
        yield "venv and pip", venv, [python, "-m", "pip", *from_pip]
    for other in [BASE_PYTHON, *OTHER_PYTHONS]:
        if works([other, "-m", "pip", "--python", BASE_PYTHON, "--version"]):
            yield f"the pip of {other}", bare, [other, "-m", "pip", "--python", python, *from_pip]
    with tempfile.TemporaryDirectory(prefix="taskmill-pip-") as unpacked:
        for wheel in pip_wheels(Path(unpacked)):
            yield wheel.name, bare, [python, f"{wheel}/pip", *from_pip]


def pip_wheels(unpacked: Path) -> Iterator[Path]:
    """Wheels of pip: on this system, else in a Debian package that needs no root to be fetched."""
    yield from Path("/").glob(PIP_WHEELS)
    if shutil.which("apt-get") and shutil.which("dpkg"):
        report("no pip here; fetching Debian's python3-pip-whl into a temporary folder")
        failure = fetch_debian_package("python3-pip-whl", unpacked)
        if failure:
            report(f"that failed: {failure}")
        yield from unpacked.glob(PIP_WHEELS)


def fetch_debian_package(name: str, unpacked: Path) -> str | None:
    """Download and unpack a package with apt's state in `unpacked`; return what failed.

    The system stays as it is, and nobody has to be root.
    """
    (unpacked / "lists" / "partial").mkdir(parents=True)
    (unpacked / "cache" / "archives" / "partial").mkdir(parents=True)
    options = {
        "Dir::State::Lists": str(unpacked / "lists"),
        "Dir::Cache": str(unpacked / "cache"),
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    unpack = ["sh", "-c", 'dpkg -x "$1"*.deb .', "-", name]
    return (
        run([*apt, "update"], cwd=unpacked)
        or run([*apt, "download", name], cwd=unpacked)
        or run(unpack, cwd=unpacked)
    )


def works(command: list[str]) -> bool:
    """Whether a command can be run and succeeds."""
    try:
        return (
            subprocess.run(command, capture_output=True, env=clean(), check=False).returncode == 0
        )
    except OSError:
        return False


def run(command: list[str], *, cwd: Path = ROOT) -> str | None:
    """Run a command; return None, or on failure the command and the end of its output."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean(),
        cwd=cwd,
    ) as process:
        printed = output_of(process)
    if process.returncode == 0:
        return None
    output = "\n".join(printed.strip().splitlines()[-15:])
    return f"{shlex.join(command)}\n{output}"


def output_of(process: "subprocess.Popen[str]") -> str:
    """Wait for a program's end, and report now and then that it goes on."""
    started = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=REPORT_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            report(f"still at it, after {time.monotonic() - started:.0f} s")


def clean() -> dict[str, str]:
    """The environment without variables that would install packages elsewhere."""
    dropped = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "VIRTUAL_ENV")
    others = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**others, "UV_PYTHON_DOWNLOADS": "never"}


def add_source(folder: Path) -> None:
    """Let the environment import the package from `src`, wherever the whole folder is moved to."""
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "taskmill-source.pth").write_text("../../../../src\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except CannotMakeError as problem:
        sys.exit(f"taskmill: {problem}")
    except KeyboardInterrupt:
        sys.exit("taskmill: stopped; the next start begins anew")
    except PermissionError as problem:
        sys.exit(f"taskmill: cannot write {problem.filename}. Use a clone that belongs to you.")
