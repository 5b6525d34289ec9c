"""The wheel, installed into empty environments as users do."""

import signal
import subprocess
import zipfile
from pathlib import Path

import pytest

from taskmill.version import VERSION
from tests.support.polling import wait_until
from tests.support.processes import ROOT, Program, environment
from tools.package_sizes.installing import Installed, build, install, measure

pytestmark = pytest.mark.slow

_MOST_PACKAGES = 8
_MOST_MB = 15
_LONGEST_IMPORT_S = 0.15


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of an environment, which finds no source beside it."""
    return subprocess.run(  # noqa: S603 - our own program
        command,
        cwd=folder,
        env={**environment(), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown(found: Installed) -> str:
    print(found)  # noqa: T201 - for whoever wants to know it
    return str(found)


def test_the_wheel_has_the_whole_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"taskmill-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if not name.startswith("taskmill-")}
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "taskmill").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files
    assert "taskmill/py.typed" in names
    assert "taskmill/storage/queries/claim_tasks.sql" in names


def test_the_wheel_is_the_same_each_time(wheel: Path, tmp_path: Path) -> None:
    assert build("wheel", tmp_path).read_bytes() == wheel.read_bytes()


def test_the_client_is_small_and_starts_fast(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, "", tmp_path / "env")
    found = measure(python, "")
    assert found.packages <= _MOST_PACKAGES, shown(found)
    assert found.megabytes <= _MOST_MB, shown(found)
    assert found.import_s <= _LONGEST_IMPORT_S, shown(found)
    script = "from taskmill import Client, enqueue; Client('http://127.0.0.1:9').create('x')"
    done = run(python, "-c", script, folder=tmp_path)
    assert done.stderr.splitlines()[-2].startswith(
        "taskmill.client.errors.Unreachable: no response from Taskmill"
    )
    refused = run(python.with_name("taskmill"), "up", folder=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "Error: taskmill up needs packages that are not installed (click): pip install 'taskmill[up]'\n",
    )


def test_up_runs_tasks_from_the_wheel_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, "up", tmp_path / "env")
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
