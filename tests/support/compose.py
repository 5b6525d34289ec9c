"""Brings the Compose file of a clone up with Docker, or with Podman, and kills containers of it."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.polling import wait_until

Json = dict[str, Any]

LABEL: Final = "com.docker.compose"
PORTS: Final = ("API_PORT", "PROXY_PORT", "RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT")
IMAGE: Final = "taskmill:local"
FIRST_INSTRUCTION: Final = "LABEL org.opencontainers.image.title="
UNITS: Final = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
ONCE: Final = {"migrate", "broker-users"}
"""The services that end by themselves."""
# Of everybody's shell; what Compose reads of the environment would change the file's meaning.
PASSED_ON: Final = ("COMPOSE_", "CONTAINER", "DOCKER_", "BUILDAH_", "XDG_", "PODMAN_")
# Images may have to be downloaded first.
UP_S: Final = 1800
READY_S: Final = 300
_TRIES: Final = 3


def find_engine() -> str | None:
    """Return the first of Docker and Podman that answers Docker Compose, None if there is none.

    podman-compose, which Podman calls without it, can't start chains of services that depend on each other.
    """
    return next((name for name in ("docker", "podman") if _has_compose(name)), None)


def _has_compose(program: str) -> bool:
    try:
        shown = _call(program, "compose", "version", timeout_s=60)
        _call(program, "compose", "ls", timeout_s=60)
    except (AssertionError, OSError, subprocess.TimeoutExpired):
        return False
    return "Docker Compose" in shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a service, which stays the same when it is stopped and started."""

    engine: str
    id: str
    service: str

    def state(self) -> Json:
        """Return what the engine says of it: `Status`, `ExitCode` and `Health`."""
        state: Json = self._inspect()["State"]
        return state

    def _inspect(self) -> Json:
        # While others use them, too, Podman 5.4 says of one call in thousands that a container is not there.
        for _ in range(_TRIES - 1):
            with suppress(AssertionError):
                return _inspected(self.engine, self.id)[0]
        return _inspected(self.engine, self.id)[0]

    def is_hardened(self) -> bool:
        """Whether it runs as an ordinary user, without any capability, and can't write to its root file system."""
        user, capabilities = self.run("sh", "-c", "id -u; grep CapEff /proc/self/status").split(
            "\n", 1
        )
        config = self._inspect()["HostConfig"]
        return bool(int(user) and not int(capabilities.split()[1], 16) and config["ReadonlyRootfs"])

    def is_well(self) -> bool:
        """Whether it is healthy, or has ended well if it is one that ends."""
        state = self.state()
        if self.service in ONCE:
            return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
        health = (state.get("Health") or {}).get("Status")
        return bool(state["Status"] == "running" and health == "healthy")

    def kill(self) -> None:
        """End all its processes at once."""
        _call(self.engine, "kill", self.id)
        wait_until(lambda: self.state()["Status"] == "exited", f"{self.service} is killed")

    def start(self) -> None:
        """Start it again: an engine does not do that by itself with what somebody has killed."""
        _call(self.engine, "start", self.id)
        wait_until(self.is_well, f"{self.service} is healthy", timeout_s=READY_S)

    def run(self, *command: str) -> str:
        """Run a command in it, and return what that printed."""
        return _call(self.engine, "exec", self.id, *command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The services of a clone's Compose file, as a project of their own on ports of their own."""

    engine: str
    folder: Path
    project: str
    ports: Mapping[str, int]
    settings: Mapping[str, str]
    profile: str

    def compose(self, *arguments: str, timeout_s: float = READY_S) -> str:
        """Call Compose in the clone, and return what it printed."""
        command = [self.engine, "compose", "--project-name", self.project, *arguments]
        ports = {name: str(port) for name, port in self.ports.items()}
        return _call(
            *command,
            folder=self.folder,
            env={**_environment(), **ports, **self.settings, "COMPOSE_PROFILES": self.profile},
            timeout_s=timeout_s,
        )

    def containers(self, service: str = "") -> list[Container]:
        """Return the containers of a service, or of all."""
        wanted = [f"label={LABEL}.project={self.project}"]
        wanted += [f"label={LABEL}.service={service}"] if service else []
        filters = [word for one in wanted for word in ("--filter", one)]
        ids = _call(self.engine, "ps", "--all", "--quiet", *filters).split()
        found = _inspected(self.engine, *ids) if ids else []
        return [
            Container(
                engine=self.engine,
                id=one["Id"],
                service=one["Config"]["Labels"][f"{LABEL}.service"],
            )
            for one in found
        ]

    def megabytes_over_base(self) -> float:
        """Return how much larger the image of the roles is than that of Python, which it is made of."""
        history = ("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", IMAGE)
        total = 0.0
        for line in _call(self.engine, *history).splitlines():
            size, _, instruction = line.partition("\t")
            total += _megabytes(size)
            if FIRST_INSTRUCTION in instruction:
                return total
        raise AssertionError(f"the history of {IMAGE} has no {FIRST_INSTRUCTION}")

    def up(self, *arguments: str) -> None:
        """Start what does not run yet, and return when all is healthy."""
        self.compose("up", "--detach", *arguments, timeout_s=UP_S)
        for one in self.containers():
            wait_until(one.is_well, f"{one.service} is healthy", timeout_s=READY_S)


@contextmanager
def stack_of(
    folder: Path, engine: str, settings: Mapping[str, str], profile: str = ""
) -> Iterator[Stack]:
    """Give the Compose file of a clone, with passwords, and take down with its data what was started.

    When what is in the `with` fails, it prints the last lines of all logs.
    """
    _call(str(folder / "deploy/make-secrets"))
    project = f"taskmill-tests-{os.getpid()}"
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    stack = Stack(
        engine=engine,
        folder=folder,
        project=project,
        ports=ports,
        settings=settings,
        profile=profile,
    )
    try:
        yield stack
    except BaseException:
        print(stack.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - what pytest shows with the failure
        raise
    finally:
        stack.compose("down", "--volumes", "--timeout", "20")


def _inspected(engine: str, *ids: str) -> list[Json]:
    found: list[Json] = json.loads(_call(engine, "container", "inspect", *ids))
    return found


def _megabytes(size: str) -> float:
    """Read a size as engines write it, such as 13.1MB."""
    number = size.rstrip("BkMG")
    return float(number) * UNITS[size.removeprefix(number)]


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _environment() -> dict[str, str]:
    """The environment without variables that the Compose file would take for its own."""
    kept = {"HOME", "PATH", "LANG", "TMPDIR", "USER"}
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - for a child
        if name in kept or name.startswith(PASSED_ON)
    }


def _call(
    *command: str,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = READY_S,
) -> str:
    done = subprocess.run(  # noqa: S603 - an engine, and our own words
        command,
        cwd=folder,
        env=env or _environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout
