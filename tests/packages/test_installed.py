"""The wheels, installed into empty environments as users do."""

import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from packages.versions import version
from tests.support.polling import wait_until
from tests.support.processes import ROOT, Program, environment
from tools.package_sizes.installing import (
    Installed,
    build_sdist,
    build_wheels,
    install,
    install_clone,
    measure,
)

pytestmark = pytest.mark.slow

_MOST_PACKAGES = 8
_MOST_MB = 15
_LONGEST_IMPORT_S = 0.15
_LACKED = "packages that are not installed (taskmill-service)"
_OLDEST = (3, 11)
# What needs a compiler, or a wheel for each platform.
_COMPILED = (".so", ".pyd", ".dylib", ".c")
_PROGRAM = """
from typing import Any
from uuid import UUID

from taskmill import AsyncClient, Client, enqueue
from taskmill.client.views.tasks import TaskView


def create(client: Client) -> UUID:
    made: TaskView = client.create("first", payload={"n": 1}, labels={"team": "finance"})
    return made.id


async def names(client: AsyncClient) -> list[str]:
    return [task.name async for task in client.list()]


def in_a_transaction(connection: Any) -> None:
    print(enqueue(connection, "first", payload={"n": 1}))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def wheel(wheels: list[Path]) -> Path:
    """That of `taskmill`; the other one is beside it."""
    return wheels[0]


def _other_python() -> str | None:
    """Return the machine's own Python, if that is not the one that runs the tests and is new enough."""
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if found is None:
        return None
    script = "import sys; print(*sys.version_info[:2])"
    shown = subprocess.run([found, "-c", script], capture_output=True, check=True)  # noqa: S603 - Python
    version = tuple(map(int, shown.stdout.split()))
    return found if version >= _OLDEST and version != sys.version_info[:2] else None


@pytest.fixture(params=["the tests' Python", "the machine's Python"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """Two Pythons, where the machine has another one than the tests."""
    found = sys.executable if request.param == "the tests' Python" else _other_python()
    return found or pytest.skip("the machine has no other Python that is new enough")


def run(*command: str | Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of an environment, which finds no source beside it."""
    return subprocess.run(  # noqa: S603 - our own program
        command,
        cwd=folder,
        env={**environment(), "PYTHONPATH": "", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown(found: Installed) -> str:
    print(found)  # noqa: T201 - for whoever wants to know it
    return str(found)


def modules(wheel: Path) -> list[str]:
    """The files of a wheel, without those about it."""
    with zipfile.ZipFile(wheel) as content:
        return [name for name in content.namelist() if ".dist-info/" not in name]


def test_the_two_wheels_have_each_file_of_the_source_once(wheels: list[Path]) -> None:
    names = [f"{name}-{version()}-py3-none-any.whl" for name in ("taskmill", "taskmill_service")]
    assert [wheel.name for wheel in wheels] == names
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "taskmill").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    client, service = map(modules, wheels)
    assert sorted(client + service) == sorted(files)
    assert {"taskmill/__init__.py", "taskmill/py.typed", "taskmill/client/__init__.py"} <= {*client}
    assert "taskmill/storage/queries/claim_tasks.sql" in service


def test_the_wheels_are_the_same_each_time(wheels: list[Path], tmp_path: Path) -> None:
    again = build_wheels(tmp_path)
    assert [one.read_bytes() for one in again] == [one.read_bytes() for one in wheels]


def test_the_sdist_makes_the_same_wheels(wheels: list[Path], tmp_path: Path) -> None:
    shutil.unpack_archive(build_sdist(tmp_path), tmp_path, filter="data")
    [source] = (path for path in tmp_path.iterdir() if path.is_dir())
    again = build_wheels(tmp_path, source=source)
    assert [one.read_bytes() for one in again] == [one.read_bytes() for one in wheels]


def test_a_clone_is_installed_so_that_its_own_code_runs(tmp_path: Path) -> None:
    python = install_clone("cli", tmp_path / "env")
    script = "import taskmill.cli.main; print(taskmill.cli.main.__file__)"
    done = run(python, "-c", script, folder=tmp_path)
    assert done.stdout.strip() == str(ROOT / "src" / "taskmill" / "cli" / "main.py")
    [site] = (tmp_path / "env").glob("lib/python3*/site-packages")
    assert not (site / "taskmill").exists()


def test_the_client_is_small_and_starts_fast(wheel: Path, tmp_path: Path, interpreter: str) -> None:
    python = install(wheel, "", tmp_path / "env", interpreter=interpreter)
    found = measure(python, "")
    assert found.packages <= _MOST_PACKAGES, shown(found)
    assert found.megabytes <= _MOST_MB, shown(found)
    assert found.import_s <= _LONGEST_IMPORT_S, shown(found)
    assert [path for path in (tmp_path / "env").rglob("*") if path.suffix in _COMPILED] == []
    script = "from taskmill import Client, enqueue; Client('http://127.0.0.1:9').create('x')"
    done = run(python, "-c", script, folder=tmp_path)
    assert done.stderr.splitlines()[-1].startswith(
        "taskmill.client.errors.Unreachable: no response from Taskmill"
    )
    refused = run(python.with_name("taskmill"), "up", folder=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        f"Error: taskmill up needs {_LACKED}: pip install 'taskmill[up]'\n",
    )


def test_a_program_with_the_installed_client_passes_strict_mypy(
    wheel: Path, tmp_path: Path
) -> None:
    python = install(wheel, "", tmp_path / "env")
    program = tmp_path / "program.py"
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null")
    options = ("--cache-dir", tmp_path / "cache", "--python-executable", python)
    for text, last in (
        (_PROGRAM, "Success: no issues found in 1 source file"),
        (_PROGRAM.replace("return made.id", "return made.name"), "Found 1 error"),
    ):
        program.write_text(text)
        done = run(*mypy, *options, program, folder=tmp_path)
        assert done.stdout.splitlines()[-1].startswith(last), done.stdout + done.stderr


def test_up_runs_tasks_from_the_wheel_in_an_empty_environment(
    wheel: Path, tmp_path: Path, interpreter: str
) -> None:
    python = install(wheel, "up", tmp_path / "env", interpreter=interpreter)
    shown(measure(python, "up"))
    taskmill = python.with_name("taskmill")
    with Program(
        *("up", "--port", "0", "--data", tmp_path / "data", "--broker", "postgres"),
        folder=tmp_path / "elsewhere",
        env={"PYTHONPATH": "", "TASKMILL_EMULATION__FAILURE_PROBABILITY": "0"},
        command=(taskmill,),
    ) as up:
        url = ("--url", up.facts["url"])
        payload = ("--payload", '{"delay_s": 0, "failure_probability": 0}')
        done = run(taskmill, "task", "create", "first", *payload, "--wait", *url, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "succeeded" in done.stdout
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(30) == 0


def test_a_worker_needs_the_packages_of_its_extra_only(
    wheel: Path, tmp_path: Path, stage_url: str
) -> None:
    python = install(wheel, "worker", tmp_path / "env")
    shown(measure(python, "worker"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shop.py").write_text(
        "from taskmill import Taskmill\n"
        "app = Taskmill()\n\n\n"
        "@app.task()\n"
        "async def greet(name: str) -> str:\n"
        '    return f"hello {name}"\n'
    )
    with Program(
        *("run", "worker", "--broker", "postgres", "--app", "shop:app"),
        folder=tmp_path / "elsewhere",
        env={"PYTHONPATH": "", "TASKMILL_DATABASE_URL": stage_url, "TASKMILL_ADMIN_PORT": "0"},
        command=(python.with_name("taskmill"),),
    ) as worker:
        wait_until(lambda: bool(worker.logged("contract.registered")), "it has registered its type")
    database = {"TASKMILL_DATABASE_URL": stage_url}
    for words, env, extra in _BEYOND_A_WORKER:
        refused = run(python.with_name("taskmill"), *words, folder=tmp_path, **database, **env)
        assert refused.returncode == 2, refused.stderr
        assert refused.stderr.splitlines()[-1].endswith(f"pip install 'taskmill[{extra}]'")


# What a worker's packages are not enough for, on a database that is there.
_BEYOND_A_WORKER: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
    (("run", "api", "--broker", "postgres", "--port", "0"), {}, "server"),
    (("migrate",), {}, "server"),
    (("up",), {}, "up"),
    (("run", "worker", "--broker", "postgres"), {"TASKMILL_TRACES": "otlp"}, "traces"),
)
