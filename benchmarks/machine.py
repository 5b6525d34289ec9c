"""Describes the machine of a run: a figure without its machine means nothing."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from taskmill import __version__

_ROOT = Path(__file__).resolve().parent.parent
_CPUINFO = Path("/proc/cpuinfo")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Host, versions, and when."""

    measured_at: str
    cores: int
    cpu: str
    memory_gib: float | None
    system: str
    python: str
    postgresql: str
    rabbitmq: str
    taskmill: str
    fastapi: str
    uvicorn: str
    aio_pika: str
    peers: str
    commit: str
    load_before: float

    def facts(self) -> dict[str, object]:
        return asdict(self)


def describe(
    postgresql: str, rabbitmq: str | None, peers: Mapping[str, str], *, load_before: float
) -> Machine:
    """Describe this machine; some scenarios need no `rabbitmq` and no `peers`.

    `load_before` is the load average of a minute when the run began; above about 0.1 the machine was busy.
    """
    return Machine(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=os.cpu_count() or 0,
        cpu=_first_value(_CPUINFO, "model name") or platform.processor() or platform.machine(),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        postgresql=postgresql,
        rabbitmq=rabbitmq or "not used",
        taskmill=__version__,
        fastapi=importlib.metadata.version("fastapi"),
        uvicorn=importlib.metadata.version("uvicorn"),
        aio_pika=importlib.metadata.version("aio-pika"),
        peers=", ".join(f"{name} {version}" for name, version in sorted(peers.items())) or "none",
        commit=_commit(),
        load_before=round(load_before, 2),
    )


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip() or "unknown"


def _memory_gib() -> float | None:
    total = _first_value(_MEMINFO, "MemTotal")
    return round(int(total.split()[0]) / 1024**2, 1) if total else None


def _first_value(path: Path, name: str) -> str | None:
    if not path.exists():
        return None
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), None)
