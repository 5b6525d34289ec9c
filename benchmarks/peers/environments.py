"""Makes the virtual environment of each peer from its lock, once, as `scripts/test` makes its own."""

import json
import subprocess
from functools import cache
from pathlib import Path

from benchmarks.programs import ROOT, ProgramFailed

PACKAGES = {
    "celery": ("celery",),
    "dramatiq": ("dramatiq", "pika"),
    "pgqueuer": ("pgqueuer", "asyncpg"),
    "procrastinate": ("procrastinate", "psycopg"),
    "taskiq": ("taskiq", "taskiq-aio-pika"),
}

_PREPARE = '. "$0/scripts/environment.sh" && prepare_environment "$0" "$1" "$2"'
_VERSIONS = (
    "import importlib.metadata, json, sys;"
    "print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))"
)


@cache
def python_of(peer: str) -> Path:
    """Return the Python of a peer's environment, which is made if it does not exist.

    Raises:
        ProgramFailed: it can't be made.
    """
    folder = f".venv-peer-{peer}"
    command = ["sh", "-c", _PREPARE, str(ROOT), folder, f"peer-{peer}"]
    if subprocess.run(command, check=False, cwd=ROOT).returncode:  # noqa: S603
        raise ProgramFailed(f"the environment of {peer} can't be made; see above")
    return ROOT / folder / "bin" / "python"


@cache
def versions(peer: str) -> dict[str, str]:
    """Return the versions of the important packages of a peer's environment."""
    command = [str(python_of(peer)), "-c", _VERSIONS, *PACKAGES[peer]]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, str] = json.loads(done.stdout)
    return found
