"""Announces that a process serves, and where."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import orjson

from taskmill.composition.process import Process
from taskmill.observability import logs
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import first_of
from taskmill.settings import Settings

log = logs.get_logger(__name__)

# Checked often while something is about to change, else rarely: an idle system should have little to do.
_PAUSE_S = 0.5
_SETTLED_PAUSE_S = 3.0


class Front(Protocol):
    """What serves the API."""

    started: asyncio.Event
    url: str | None


class Announcement:
    """Announces, once everything serves, where the API is: in the log, in the ready files and to `announce`.

    The files also have the state of broker and intake, and are rewritten when it changes. `facts` are what they
    say beside or instead of what is known here.
    """

    name = "announcement"
    process: Process

    def __init__(
        self,
        ready_files: Sequence[Path],
        announce: Callable[[str | None], None],
        front: Front | None = None,
        is_broker_starting: Callable[[], bool] = lambda: False,
        facts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.is_broker_starting = is_broker_starting
        self._front = front
        self._ready_files = ready_files
        self._announce = announce
        self._facts = facts

    @property
    def is_front(self) -> bool:
        """Whether ready files name an API that other processes serve."""
        return bool(self._ready_files) and self._front is not None and self._front.url is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Announce, unless stopped before; the ready files are removed at the end."""
        server = self._front or self.process.server
        for one in (self.process.admin_server, server):
            if one is not None:
                await first_of(one.started, stop)
        if stop.is_set():
            return
        url = server.url if server else None
        presence = await self._presence()
        for file in self._ready_files:
            _write_ready_file(file, self.process.settings, url, {**presence, **self._facts})
        log.info("process.ready", url=url, pid=os.getpid())
        self._announce(url)
        await self._refresh_files(stop, url, presence)
        for file in self._ready_files:
            file.unlink(missing_ok=True)

    async def _refresh_files(
        self, stop: asyncio.Event, url: str | None, presence: Mapping[str, str]
    ) -> None:
        """Rewrite the files whenever the state of broker or intake has changed."""
        while not stop.is_set():
            is_changing = presence.get("broker") == "away" or "starting" in presence.values()
            await pause(stop, _PAUSE_S if is_changing else _SETTLED_PAUSE_S)
            found = await self._presence()
            if found == presence or stop.is_set():
                continue
            presence = found
            # A file that is gone was removed by its reader; a full disk must not end the process.
            for file in filter(Path.exists, self._ready_files):
                with suppress(OSError):
                    _write_ready_file(file, self.process.settings, url, {**presence, **self._facts})

    async def _presence(self) -> Mapping[str, str]:
        """Return the state of broker and intake, one word each; empty when this process does not know."""
        watch = self.process.broker_watch()
        intake = await watch.intake_state()
        if intake is None:
            return {}
        broker = watch.state()
        word = "starting" if broker.is_starting else str(broker.presence)
        return {"broker": word, "intake": str(intake.presence)}


def _write_ready_file(
    path: Path, settings: Settings, url: str | None, more: Mapping[str, str]
) -> None:
    """Write the file atomically: its reader reads it as soon as it exists."""
    facts = {
        "url": url,
        "amqp_url": settings.broker_url.get_secret_value() if settings.broker_url else None,
        "database_url": settings.require_database_url(),
        "pid": os.getpid(),
        **more,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
    temporary.replace(path)
