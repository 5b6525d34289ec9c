"""What the figures were measured on: a figure without its machine says nothing."""

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from taskmill import __version__

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
    pgqueuer: str
    celery: str
    aio_pika: str

    def facts(self) -> dict[str, object]:
        return asdict(self)


def describe(postgresql: str, rabbitmq: str | None) -> Machine:
    """Tell of this machine, now; no `rabbitmq` was needed for some scenarios."""
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
        pgqueuer=importlib.metadata.version("pgqueuer"),
        celery=importlib.metadata.version("celery"),
        aio_pika=importlib.metadata.version("aio-pika"),
    )


def _memory_gib() -> float | None:
    total = _first_value(_MEMINFO, "MemTotal")
    return round(int(total.split()[0]) / 1024**2, 1) if total else None


def _first_value(path: Path, name: str) -> str | None:
    if not path.exists():
        return None
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), None)
