"""Processes of all roles on one database and broker, as an operator starts them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import FAST_LEASES, Program


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The running processes by their names: the role and a number, as in `worker-1`."""

    programs: Mapping[str, Program]

    def logged(self, event: str) -> int:
        """Count the lines of one event in all logs."""
        return sum(len(program.logged(event)) for program in self.programs.values())

    @property
    def links_down(self) -> set[tuple[str, str]]:
        """The links to the broker that were lost and are not back, each with its process."""
        down = set()
        for name, program in self.programs.items():
            last = {
                line["link"]: line["event"]
                for line in program.logged("broker.away", "broker.connected")
            }
            down |= {(name, link) for link, event in last.items() if event == "broker.away"}
        return down

    def of(self, role: str) -> Sequence[Program]:
        """Return the processes of a role."""
        return [p for name, p in self.programs.items() if name.startswith(f"{role}-")]


@contextmanager
def a_fleet(
    folder: Path,
    *,
    database_url: str,
    broker_url: str | None = None,
    env: Mapping[str, str],
    **roles: int,
) -> Iterator[Fleet]:
    """Run the given number of processes of each role until the block ends; all must end without errors."""
    shared = {
        **FAST_LEASES,
        "TASKMILL_DATABASE_URL": database_url,
        **({"TASKMILL_BROKER_URL": broker_url} if broker_url is not None else {}),
        **env,
    }
    names = [f"{role}-{n}" for role, count in roles.items() for n in range(1, count + 1)]
    with ExitStack() as stack:
        programs: dict[str, Program] = {}
        for name in names:
            program = Program(
                "run",
                name.partition("-")[0],
                folder=folder / name,
                env={**shared, "TASKMILL_WORKER__NAME": name},
            )
            stack.push(program)
            programs[name] = program
        for program in programs.values():
            program.__enter__()  # waits; they were started together
        yield Fleet(programs=programs)
        for name, program in programs.items():
            assert program.process.poll() is None, f"{name}: {program.log_file.read_text()[-2000:]}"
