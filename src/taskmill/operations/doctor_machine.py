"""What the doctor sees of the machine that it runs on: disks and open files. It decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from taskmill.domain.doctor_snapshot import DiskState, FileUse
from taskmill.runtime.machine import disk_room, open_files
from taskmill.settings import Settings

AddUnseen = Callable[[str, str, str | None], None]

_HERE: Final = frozenset({"", "127.0.0.1", "::1", "localhost"})
_EMBEDDED: Final = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """Disks with something of ours, and the files that this process has open."""

    disks: Sequence[DiskState]
    files: FileUse | None


def read(settings: Settings, server: Mapping[str, str], add_unseen: AddUnseen) -> MachineState:
    """Read both; what can't be read is passed to `add_unseen`."""
    disks = [
        disk
        for holds, path in (
            ("PostgreSQL", _data_directory(settings, server)),
            ("the data folder", settings.data_dir),
            ("the log file", settings.log_file.path and settings.log_file.path.parent),
        )
        if path is not None and (disk := _disk(holds, path)) is not None
    ]
    if not any(one.holds == "PostgreSQL" for one in disks):
        add_unseen(
            "the disk of PostgreSQL",
            "it is on another machine, or this login may not see where its data is",
            "df -h # on its machine",
        )
    files = open_files()
    if files is None:
        add_unseen("open files", "this system does not show them", None)
        return MachineState(disks=disks, files=None)
    return MachineState(
        disks=disks,
        files=FileUse(
            used=files.used,
            limit=files.limit,
            highest=files.highest,
            connections=settings.api.connections,
        ),
    )


def _data_directory(settings: Settings, server: Mapping[str, str]) -> Path | None:
    """Return where PostgreSQL has its data, if it runs on this machine and that is known."""
    if settings.database_url is None or not _is_here(settings.database_url.get_secret_value()):
        return None
    if (shown := server.get("data_directory")) is not None:
        return Path(shown)
    embedded = settings.data_dir / _EMBEDDED
    return embedded if embedded.is_dir() else None


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in _HERE or host.startswith("/")


def _disk(holds: str, path: Path) -> DiskState | None:
    room = disk_room(path)
    if room is None or not room.total:
        return None
    return DiskState(holds=holds, path=str(path), free_bytes=room.free, total_bytes=room.total)
