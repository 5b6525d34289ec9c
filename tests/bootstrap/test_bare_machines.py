"""`./taskmill` on machines that lack something, for root and for an ordinary user.

A machine without pip is made by a private mount namespace that hides Debian's pip and ensurepip.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.embedded.rabbitmq_programs import find_installed
from tests.bootstrap.conftest import ROOT, Checkout
from tests.support.polling import wait_until
from tests.support.processes import Program
from tests.support.rabbitmq import publish_task

pytestmark = pytest.mark.slow

SYSTEM = {"PATH": "/usr/bin:/bin"}  # no uv there
NOBODY = 65534
ORDINARY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

# hide FOLDER NAME...: in this namespace the folder has no such entries
HIDE = """
set -e
scratch=$1; shift
mount -t tmpfs none "$scratch"
hide() {
    [ -d "$1" ] || return 0
    layer=$scratch/$(echo "$1" | tr / _); folder=$1; shift
    mkdir "$layer" "$layer/upper" "$layer/work"
    layers=lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work
    mount -t overlay overlay -o "$layers" "$folder"
    for name; do rm -rf "$folder"/$name; done
}
for python in /usr/lib/python3.*; do hide "$python" ensurepip; done
for packages in /usr/lib/python3/dist-packages /usr/local/lib/python3.*/dist-packages; do
    hide "$packages" 'pip*'
done
"""
NO_WHEEL = "hide /usr/share/python-wheels 'pip*'\n"
NO_APT = "hide /usr/bin apt-get\n"


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A copy without history, in a folder that everyone can enter."""
    with tempfile.TemporaryDirectory(prefix="taskmill bare ") as name:
        Path(name).chmod(0o755)
        path = Path(name) / "task mill"
        path.mkdir()
        pack = shlex.join(["git", "-C", str(ROOT), "archive", "HEAD"])
        unpack = shlex.join(["tar", "-x", "-C", str(path)])
        subprocess.run(["sh", "-c", f"{pack} | {unpack}"], check=True)  # noqa: S603, S607 - our words
        yield Checkout(path=path, env={**SYSTEM, "HOME": name})


def give_away(checkout: Checkout) -> None:
    for path in (checkout.path.parent, checkout.path, *checkout.path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def in_bare_machine(checkout: Checkout, script: str, *, user: str) -> tuple[int, str]:
    """Start the program where something is hidden; return the status and its output."""
    scratch = checkout.path.parent / "scratch"
    scratch.mkdir()
    become = ORDINARY if user == "ordinary" else []
    if user == "ordinary":
        give_away(checkout)
    script = HIDE + script + 'exec "$@"\n'
    start = [*become, str(checkout.path / "taskmill"), "--version"]
    done = checkout.call(
        "unshare", "--mount", "sh", "-c", script, "-", scratch, *start, check=False
    )
    return done.returncode, done.stderr


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may hide parts of the system")
needs_debian = pytest.mark.skipif(
    shutil.which("apt-get") is None, reason="it is about Debian's packages"
)
both_users = pytest.mark.parametrize("user", ["root", "ordinary"])


def test_without_uv_the_systems_pip_is_used(checkout: Checkout) -> None:
    done = checkout.taskmill("--version")
    assert "installing with uv" not in done.stderr
    assert "is ready after" in done.stderr
    assert checkout.taskmill("--version").stderr == ""


@needs_root
def test_an_ordinary_user_can_start_it(checkout: Checkout) -> None:
    give_away(checkout)
    done = checkout.call(*ORDINARY, checkout.path / "taskmill", "--version")
    assert "is ready after" in done.stderr
    assert (checkout.path / ".venv").stat().st_uid == NOBODY


@needs_root
@needs_debian
@both_users
def test_without_pip_a_wheel_on_the_system_is_used(checkout: Checkout, user: str) -> None:
    if not list(Path("/usr/share/python-wheels").glob("pip-*.whl")):
        pytest.skip("this system has no wheel of pip (Debian: apt-get install python3-pip-whl)")
    status, output = in_bare_machine(checkout, "", user=user)
    assert status == 0, output
    assert "installing with pip-" in output
    assert "fetching" not in output


@needs_root
@needs_debian
@both_users
def test_without_any_pip_debians_wheel_is_fetched(checkout: Checkout, user: str) -> None:
    status, output = in_bare_machine(checkout, NO_WHEEL, user=user)
    assert status == 0, output
    assert "fetching Debian's python3-pip-whl" in output
    assert "is ready after" in output


@needs_root
@needs_debian
@both_users
def test_with_nothing_at_all_one_line_says_what_to_install(checkout: Checkout, user: str) -> None:
    status, output = in_bare_machine(checkout, NO_WHEEL + NO_APT, user=user)
    assert status != 0
    assert "apt-get install python3-venv" in output.splitlines()[-1]
    assert "Traceback" not in output


@needs_root
def test_a_checkout_of_another_user_is_refused_with_advice(checkout: Checkout) -> None:
    done = checkout.call(*ORDINARY, checkout.path / "taskmill", check=False)
    assert done.returncode != 0
    assert "Use a clone that belongs to you" in done.stderr


@needs_root
@needs_debian
@both_users
def test_without_rabbitmq_up_fetches_one_and_takes_tasks_from_its_queue(
    checkout: Checkout, user: str
) -> None:
    if find_installed() is not None:
        pytest.skip("RabbitMQ is installed here")
    become = ORDINARY if user == "ordinary" else []
    if user == "ordinary":
        give_away(checkout)
    checkout.call(*become, checkout.path / "taskmill", "--version")
    folder = checkout.path.parent
    with Program(
        *("up", "--port", "0", "--data", "the data"),
        folder=folder,
        env=checkout.env,
        command=(*become, checkout.path / "taskmill"),
    ) as program:
        wait_until(lambda: bool(program.logged("rabbitmq.ready")), "RabbitMQ serves", timeout_s=90)
        assert program.logged("rabbitmq.fetching")
        assert (folder / ".cache" / "taskmill" / "rabbitmq" / "tree").exists()
        wait_until(lambda: bool(program.logged("intake.started")), "intake", timeout_s=60)
        asyncio.run(publish_task(program.facts["amqp_url"], "by message"))

        def is_taken() -> bool:
            with program.client() as client:
                return [task["name"] for task in client.get("/tasks").json()["items"]] == [
                    "by message"
                ]

        wait_until(is_taken, "the message has become a task", timeout_s=30)
