"""Builds the two packages, installs them into empty environments, and measures what is there.

An installation needs an index of packages, as pip does. The versions are those of the locks.
"""
# ruff: noqa: S603, TID251 - it runs pip and Python, in an environment of its own

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICE: Final = "packages/service"
LOCKS: Final = ("run", "traces")
# What programs that install an extra import first.
_MODULES: Final = {
    "worker": "taskmill.app",
    "server": "taskmill.api.app",
    "up": "taskmill.embedded.stack",
}
_TRIES: Final = 5
_IMPORT: Final = """
import sys, time
began = time.process_time()
__import__(sys.argv[1])
print(time.process_time() - began)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What an extra brings to a Python: packages, their size, and the processor's time of its first import."""

    python: str
    extra: str
    packages: int
    megabytes: float
    module: str
    import_s: float


def build_wheels(folder: Path, *, source: Path = ROOT) -> list[Path]:
    """Build both wheels of a source into a folder, that of `taskmill` first. It needs no network."""
    return [_build("wheel", folder, source), _build("wheel", folder, source / SERVICE)]


def build_sdist(folder: Path) -> Path:
    """Build the archive of the source, which has that of both packages. It needs no network."""
    return _build("sdist", folder, ROOT)


def _build(kind: str, folder: Path, source: Path) -> Path:
    before = {*folder.glob("*")}
    build_it = [sys.executable, "-m", "hatchling", "build", "--target", kind]
    subprocess.run([*build_it, "--directory", folder], cwd=source, check=True, capture_output=True)
    [made] = {*folder.glob("*")} - before
    return made


def install(
    wheel: Path, extra: str, folder: Path, *, interpreter: str | Path = sys.executable
) -> Path:
    """Make an environment of a Python with the wheel and an extra, and nothing else; return its Python.

    The other wheel, which extras need, is found beside it.
    """
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    return _environment(folder, interpreter, "--find-links", wheel.parent, wanted)


def install_clone(extra: str, folder: Path) -> Path:
    """Make an environment that runs the code of this source, with the packages of an extra."""
    parts = ("--editable", f"{ROOT}[{extra}]", "--editable", ROOT / SERVICE)
    return _environment(folder, sys.executable, *parts)


def _environment(folder: Path, interpreter: str | Path, *wanted: str | Path) -> Path:
    python = folder / "bin" / "python"
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(_pinned()))
    subprocess.run(
        [*_installer(python), "--constraint", constraints, *wanted],
        check=True,
        env=_plain_environment(),
        stdout=subprocess.DEVNULL,
    )
    return python


def _pinned() -> Sequence[str]:
    """Return the versions of the locks, without hashes: the wheel of a path has none."""
    pins: dict[str, str] = {}
    for lock in LOCKS:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE):
            pins.setdefault(name, version)
    return [f"{name}=={version}" for name, version in pins.items()]


def _installer(python: Path) -> list[str | Path]:
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    return [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]


def _plain_environment() -> dict[str, str]:
    dropped = ("PYTHON", "VIRTUAL_ENV", "TASKMILL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def measure(python: Path, extra: str) -> Installed:
    """Count what an environment has, and time an import in it."""
    [site] = python.parent.parent.glob("lib/python3*/site-packages")
    files = [path for path in site.rglob("*") if path.is_file() and not path.is_symlink()]
    module = _MODULES.get(extra, "taskmill.client")
    return Installed(
        python=site.parent.name,
        extra=extra,
        packages=len([*site.glob("*.dist-info")]),
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
        module=module,
        import_s=min(_import_s(python, module) for _ in range(_TRIES)),
    )


def _import_s(python: Path, module: str) -> float:
    done = subprocess.run(
        [python, "-I", "-c", _IMPORT, module], check=True, capture_output=True, text=True
    )
    return float(done.stdout)
