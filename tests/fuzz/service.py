"""The service that is fuzzed: a `taskmill up` of its own with API keys, and what must hold when all is over."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.fuzz.by_document import Target
from tests.fuzz.findings import Tally, say
from tests.fuzz.messages import producer_of
from tests.fuzz.pool import DOCUMENTS
from tests.support.api_keys import a_new_key
from tests.support.polling import wait_until
from tests.support.processes import Program, environment

# The grants of each role's key; none and admin need none made.
GRANTS = {
    "reader": ("tasks:read",),
    "creator": ("tasks:create queue=mail,fuzz,reports.*",),
    "operator": ("tasks:read", "tasks:operate", "types", "webhooks"),
    "worker": ("worker",),
}
_ENV = {
    "TASKMILL_AUTH": "required",
    "TASKMILL_LOG_LEVEL": "warning",
    "TASKMILL_LOG_FILE__FILES": "100",
    # Everything is about content here, not about limits of clients: those have tests of their own.
    "TASKMILL_RATE_LIMITS__KEY_RATE": "0",
    "TASKMILL_RATE_LIMITS__ADDRESS_RATE": "0",
    "TASKMILL_API__UNFINISHED_PER_ADDRESS": "10000",
    "TASKMILL_LIMITS__REQUEST_TIMEOUT_S": "30",
    # Whatever waits ends soon.
    "TASKMILL_FEED__STREAM_S": "0.05",
    "TASKMILL_FEED__WAIT_S": "0.05",
    "TASKMILL_PULL__WAIT_S": "0.05",
    "TASKMILL_EMULATION__DELAY_MIN_S": "0",
    "TASKMILL_EMULATION__DELAY_MAX_S": "0.1",
    # Tasks and webhooks name any address; nothing may be sent to other machines.
    "TASKMILL_OUTBOUND__PORTS": "1",
}
_ERRORS = ("request.failed", "message.unreadable", "message.undecidable", "message.unstorable")
_MEMORY_SPARE_KB = 100 * 1024


class Service:
    """A running service with all roles on one machine, and its data folder."""

    def __init__(self, program: Program, data: Path) -> None:
        self._program = program
        self._data = data
        self.url: str = program.facts["url"]
        self.amqp_url: str = program.facts["amqp_url"]
        self.database_url: str = program.facts["database_url"]
        self.target = self._make_target()

    @property
    def memory_kb(self) -> int:
        """The memory of the process that serves the API, after what it has just freed."""
        status = Path(f"/proc/{self._program.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def documents(self) -> dict[str, Any]:
        """Return the OpenAPI documents by their addresses."""
        return {path: httpx.get(self.url + path, timeout=30).json() for path in DOCUMENTS}

    def check_memory(self, before_kb: int, tally: Tally) -> None:
        """Report memory that grew by more than half while connections came and went."""
        allowed = before_kb * 3 // 2 + _MEMORY_SPARE_KB
        say(f"memory of the API: {before_kb:,} kB before, {self.memory_kb:,} kB after raw bytes")
        if self.memory_kb > allowed:
            tally.report("after", "memory stays in use", f"{before_kb} -> {self.memory_kb} kB")

    def check(self, tally: Tally) -> None:
        """Report what is wrong when all is over: readiness, the guarantees, and the log."""
        if self._program.process.poll() is not None:
            tally.report(
                "after", "the service has ended", self._program.log_file.read_text()[-2000:]
            )
            return
        ready = httpx.get(f"{self.url}/readyz", timeout=30)
        if ready.status_code != 200:
            tally.report("after", f"/readyz is {ready.status_code}", ready.text)
        verified = self._command("verify")
        say(f"verify: {(verified.stdout or verified.stderr).strip().splitlines()[-1:]}")
        if verified.returncode != 0:
            tally.report("after", "verify finds violations", verified.stdout + verified.stderr)
        for line in self._logged():
            if line.get("level") in {"error", "critical"} or line["event"] in _ERRORS:
                tally.report("log", line["event"], json.dumps(line))

    def _make_target(self) -> Target:
        made = asyncio.run(self._make_keys())
        keys = {"none": "", "admin": (self._data / "admin.key").read_text().strip(), **made}
        host, _, port = self.url.removeprefix("http://").partition(":")
        return Target(host=host, port=int(port), keys=keys)

    async def _make_keys(self) -> dict[str, str]:
        """Make the keys of the roles, and that of the producer of messages."""
        database = Database(self.database_url, DatabaseSettings())
        try:
            await a_new_key(database, "tasks:create", name=producer_of(self.amqp_url))
            return {
                role: (await a_new_key(database, *grants, name=role)).text
                for role, grants in GRANTS.items()
            }
        finally:
            await database.close()

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "taskmill", *words, "--data", self._data],
            cwd=self._data,
            env={**environment(), "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _logged(self) -> Iterator[dict[str, Any]]:
        files = [self._program.log_file, *self._data.glob("taskmill.log*")]
        for file in files:
            for line in file.read_text(errors="replace").splitlines():
                if line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)


@contextmanager
def a_service(folder: Path) -> Iterator[Service]:
    """Start everything in a folder, and stop it again."""
    data = folder / "data"
    words: list[str | Path] = ["up", "--port", "0", "--data", data]
    with Program(*words, folder=folder, env=_ENV) as program:

        def consumes() -> bool:
            return bool((program.facts["broker"], program.facts["intake"]) == ("ok", "ok"))

        wait_until(consumes, "the broker serves and the intake consumes", timeout_s=120)
        yield Service(program, data)
