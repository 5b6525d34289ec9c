"""The command: `make mutation ARGS="AREA [MODULE]"`. It needs the environment of requirements/mutation.txt."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.support.postgres import DatabaseServer, SharedPostgres, data_parent
from tests.support.rabbitmq import BrokerServer
from tests.support.shared_servers import environment_of
from tests.support.templates import make_stage_template, make_template
from tools.mutation.folder import fresh_tests
from tools.mutation.report import (
    NOTICED,
    UNTESTED,
    Mutant,
    change_of,
    lines_of,
    read_explained,
    report,
)

ROOT: Final = Path(__file__).resolve().parents[2]
EXPLAINED: Final = Path(__file__).with_name("explained.toml")
_ABOUT = """\
Change the code of an area in thousands of small ways, one at a time, and list the changes that no test notices.
It continues where the last run stopped, be it by Ctrl-C. Results are in the folder mutants; delete that to begin
anew.
"""


class Server(StrEnum):
    """A server that tests need."""

    POSTGRES = "postgres"
    RABBITMQ = "rabbitmq"


@dataclass(frozen=True, slots=True)
class Area:
    """Files below src/taskmill that are changed together, and the tests that should notice it.

    `servers` are those that the tests need; they are started once for all changes. `left_out` are tests that take
    seconds, and would be run for each change that nothing else notices.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    servers: frozenset[Server] = frozenset()
    left_out: tuple[str, ...] = ()


AREAS: Final = {
    "domain": Area(("domain/*.py",), ("tests/unit/domain/test_*.py",)),
    "schedules": Area(
        ("domain/schedules/*.py",),
        ("tests/unit/domain/schedules",),
    ),
    "worker": Area(
        tuple(f"worker/{name}.py" for name in ("attempt", "ends", "pool", "recorder")),
        (
            *(
                f"tests/unit/worker/test_{name}*.py"
                for name in ("attempt", "ends", "pool", "recorder")
            ),
            "tests/integration/test_stored_ends.py",
        ),
        frozenset({Server.POSTGRES}),
    ),
    "inbox": Area(("intake/inbox.py",), ("tests/unit/intake",)),
    "create": Area(
        ("operations/create.py",),
        (
            "tests/unit/operations",
            "tests/integration/test_creation*.py",
            "tests/integration/test_earlier_keys.py",
            "tests/integration/test_quotas.py",
            "tests/integration/test_waiting_quotas.py",
        ),
        frozenset({Server.POSTGRES}),
    ),
    "relay": Area(
        ("relay/*.py",),
        (
            "tests/unit/relay",
            "tests/integration/test_feed_publishing.py",
            "tests/conformance/test_hint_sending.py",
        ),
        frozenset(Server),
        left_out=(
            "tests/conformance/test_hint_sending.py::test_an_exchange_that_somebody_deleted_is_made_again",
            "tests/conformance/test_hint_sending.py::test_several_relays_do_no_harm",
            "tests/conformance/test_hint_sending.py::test_a_claim_whose_response_was_lost_is_handed_back_and_runs",
        ),
    ),
}


def main(arguments: list[str]) -> int:
    """Test the mutants of an area; returns 1 unless all of them are noticed or explained."""
    chosen = _parser().parse_args(arguments)
    folder = _prepare(chosen.area, AREAS[chosen.area])
    status = 0
    if not chosen.report:
        names = [f"taskmill.*.{chosen.module}.*"] if chosen.module else []
        if chosen.survivors:
            names = [mutant.name for mutant in _mutants(folder) if _survived(mutant)]
        if names or not chosen.survivors:
            with _running(AREAS[chosen.area].servers) as environment:
                status = _run(folder, names, chosen.jobs, environment)
    explained = read_explained(EXPLAINED.read_text(encoding="utf-8"))
    found = report(_mutants(folder), explained)
    print("\n".join(lines_of(found)))  # noqa: T201 - the command's output
    return status or int(not found.is_clean)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutation", description=_ABOUT)
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("module", nargs="?", help="test all mutants of this module again")
    parser.add_argument(
        "--survivors", action="store_true", help="test those again that no test noticed"
    )
    parser.add_argument("--report", action="store_true", help="only list what is known")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    return parser


def _prepare(name: str, area: Area) -> Path:
    """Make the folder that mutmut works in: it has one configuration a folder, and areas differ."""
    folder = ROOT / "mutants" / name
    folder.mkdir(parents=True, exist_ok=True)
    linked = ("pyproject.toml", "src", "tests", "alembic.ini")
    for one in linked:
        if not (folder / one).is_symlink():
            (folder / one).symlink_to(ROOT / one)
    options = {
        "source_paths": ("src",),
        "only_mutate": _paths("src/taskmill", area.sources),
        # These functions are for the type checker alone.
        "do_not_mutate_patterns": (r"assert_never\(",),
        "pytest_add_cli_args_test_selection": _paths(".", area.tests),
        # With the sources: what is not changed would not be copied again, such as SQL.
        "also_copy": linked,
        "use_git_change_detection": ("false",),
        # How long a change may take, in the time of its tests: those with servers take seconds, not milliseconds.
        "timeout_multiplier": ("5" if area.servers else "15",),
        "timeout_constant": ("10" if area.servers else "1",),
    }
    if area.left_out:
        options["pytest_add_cli_args"] = [f"--deselect={test}" for test in area.left_out]
    lines = [f"{key} =\n    " + "\n    ".join(values) for key, values in options.items()]
    (folder / "setup.cfg").write_text("\n".join(["[mutmut]", *lines, ""]), encoding="utf-8")
    return folder


def _paths(folder: str, patterns: tuple[str, ...]) -> list[str]:
    """Return what the patterns match below a folder, as paths from the root; each must match something."""
    found = {pattern: list((ROOT / folder).glob(pattern)) for pattern in patterns}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        raise SystemExit(f"nothing in {folder} is called {', '.join(missing)}")
    return sorted({path.relative_to(ROOT).as_posix() for paths in found.values() for path in paths})


@contextmanager
def _running(servers: Collection[Server]) -> Iterator[Mapping[str, str]]:
    """Run servers for all tests, and return the environment by which these find them."""
    postgres = broker = None
    with ExitStack() as stack:
        if Server.POSTGRES in servers:
            data = stack.enter_context(TemporaryDirectory(dir=data_parent()))
            databases = stack.enter_context(DatabaseServer(Path(data)))
            make_template(databases)
            make_stage_template(databases)
            postgres = SharedPostgres(databases.url("taskmill"))
        if Server.RABBITMQ in servers:
            data = stack.enter_context(TemporaryDirectory())
            broker = stack.enter_context(BrokerServer(Path(data))).shared()
        yield environment_of(postgres, broker)


def _run(folder: Path, names: list[str], jobs: int, environment: Mapping[str, str]) -> int:
    """Test mutants: those without a result, or those that are named."""
    program = Path(sys.executable).with_name("mutmut")
    words = [str(program), "run", "--max-children", str(jobs), *names]
    variables = {**os.environ, **environment}  # noqa: TID251 - passed on
    with (
        fresh_tests(folder),
        subprocess.Popen(words, cwd=folder, env=variables) as run,  # noqa: S603 - our own program and words
    ):
        try:
            return run.wait()
        except KeyboardInterrupt:  # it got one, too: it stores what it knows, and ends
            return run.wait() or 130


def _mutants(folder: Path) -> Iterator[Mutant]:
    with chdir(folder):
        for meta in sorted(Path("mutants").rglob("*.meta")):
            source = meta.relative_to("mutants").with_suffix("")
            results = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
            for name, exit_code in results.items():
                mutant = Mutant(name=name, status=status_by_exit_code[exit_code])
                if _survived(mutant):
                    diff = get_diff_for_mutant(name, path=source).splitlines()
                    mutant = Mutant(name=name, status=mutant.status, change=change_of(name, diff))
                yield mutant


def _survived(mutant: Mutant) -> bool:
    return mutant.status not in UNTESTED and mutant.status not in NOTICED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
