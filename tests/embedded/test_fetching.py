"""Fetching RabbitMQ: from a fake archive, and (slow) from the real one."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmill.embedded import fetching
from taskmill.embedded.errors import FetchFailedError
from taskmill.embedded.fetching import cache_folder, find_or_fetch, find_present
from tests.support.polling import wait_until

# A stand-in for the programs of Debian's: "downloads" two packages and "unpacks" what they would hold.
APT_GET = """#!/bin/sh
echo "$@" >> "$APT_CALLS"
case "$*" in
    *download*) for name; do
            case $name in erlang-*|rabbitmq-*) touch "$name.deb" ;; esac
        done ;;
esac
"""
APT_CACHE = """#!/bin/sh
printf 'rabbitmq-server\\n  Depends: erlang-base\\n  Depends: libc6\\nerlang-base\\nlibc6\\n'
"""
DPKG_DEB = """#!/bin/sh
case $2 in
    */rabbitmq-server.deb)
        mkdir -p "$3/usr/lib/rabbitmq/bin"
        echo '. ${0%/*}/rabbitmq-env' > "$3/usr/lib/rabbitmq/bin/rabbitmq-server"
        chmod +x "$3/usr/lib/rabbitmq/bin/rabbitmq-server" ;;
    */erlang-base.deb)
        mkdir -p "$3/usr/lib/erlang/bin"
        printf '#!/bin/sh\\nROOTDIR="/usr/lib/erlang"\\ntest -e "$ROOTDIR/bin/erl"\\n' \\
            > "$3/usr/lib/erlang/bin/erl"
        chmod +x "$3/usr/lib/erlang/bin/erl" ;;
esac
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without RabbitMQ and with a fake archive; gives the folder of its programs."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("APT_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "the cache"))
    monkeypatch.setattr(fetching, "find_installed", only_fetched)
    return folder


def only_fetched(root: Path = Path("/")) -> object:
    from taskmill.embedded.rabbitmq_programs import find_installed  # noqa: PLC0415 - the real one

    return None if root == Path("/") else find_installed(root)


@pytest.mark.usefixtures("archive")
def test_what_is_fetched_is_announced_once_and_cached(tmp_path: Path) -> None:
    announced: list[str] = []
    assert find_present() is None
    found = find_or_fetch(announced.append)
    assert found.server.is_relative_to(tmp_path / "the cache" / "taskmill" / "rabbitmq")
    assert find_or_fetch(announced.append) == found == find_present()
    assert announced == [fetching.ANNOUNCEMENT]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == ["update", "rabbitmq-server"]
    assert "libc6" not in calls[-1], "what every system has is not fetched"


@pytest.mark.usefixtures("archive")
def test_several_at_once_fetch_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN_WITHOUT_INSTALLED]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - a child

    def fetch(_: int) -> str:
        done = subprocess.run(  # noqa: S603 - our own script
            command, env=environment, capture_output=True, check=True, text=True
        )
        return done.stderr

    with ThreadPoolExecutor(3) as threads:
        announced = list(threads.map(fetch, range(3)))
    assert sum(fetching.ANNOUNCEMENT in text for text in announced) == 1
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


RUN_WITHOUT_INSTALLED = """
from pathlib import Path
from taskmill.embedded import fetching
real = fetching.find_installed
fetching.find_installed = lambda root=Path("/"): None if root == Path("/") else real(root)
raise SystemExit(fetching.main())
"""


@pytest.mark.parametrize("program", ["apt-get", "apt-cache", "dpkg-deb"])
def test_a_failure_leaves_nothing_half_made_and_says_what_failed(
    archive: Path, program: str
) -> None:
    working = (archive / program).read_text()
    (archive / program).write_text("#!/bin/sh\necho 'E: no such archive' >&2\nexit 100\n")
    with pytest.raises(FetchFailedError, match=rf"{program} failed(.|\n)*no such archive"):
        find_or_fetch(print)
    assert [path.name for path in cache_folder().iterdir()] == ["lock"]
    (archive / program).write_text(working)
    assert find_or_fetch(print) == find_present()


@pytest.mark.usefixtures("archive")
def test_what_a_killed_fetch_left_is_removed() -> None:
    left = cache_folder() / "fetching-killed" / "tree"
    left.mkdir(parents=True)
    (cache_folder() / "tree" / "usr").mkdir(parents=True)  # incomplete, which the rename rules out
    assert find_or_fetch(print) == find_present()
    assert not left.exists()


def test_a_fetch_that_is_stopped_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    # It prints that it runs once its parent has surely noticed.
    script = '#!/bin/sh\nsleep 0.5\necho "$$" > "$APT_CALLS"\nexec sleep 600\n'
    (archive / "apt-get").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - a child
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", RUN_WITHOUT_INSTALLED], env=environment
    ) as process:
        calls = tmp_path / "calls"
        wait_until(lambda: calls.exists() and calls.read_text() != "", "apt-get runs")
        process.terminate()
        process.wait(10)
    assert [path.name for path in cache_folder().iterdir()] == ["lock"]
    # Its new parent takes a moment to reap it.
    apt_get = Path(f"/proc/{calls.read_text().strip()}")
    wait_until(lambda: not apt_get.exists(), "apt-get is gone")


def test_where_there_is_no_apt_the_message_says_so(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archive / "apt-get").unlink()
    monkeypatch.setenv("PATH", str(archive))
    with pytest.raises(FetchFailedError, match="no apt-get"):
        find_or_fetch(print)


@pytest.mark.usefixtures("archive")
def test_a_cache_that_can_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FetchFailedError, match=r"file/taskmill/rabbitmq can't be written"):
        find_or_fetch(print)


@pytest.mark.parametrize("given", ["", "relative/path"])
def test_the_cache_follows_the_rules_of_xdg(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/taskmill/rabbitmq")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="it is about Debian's archive")
def test_the_real_one_is_fetched_and_runs_wherever_the_cache_is(tmp_path: Path) -> None:
    """For other users, see the tests of bare machines."""
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "XDG_CACHE_HOME": str(tmp_path / "the 'cache' ü"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", FETCH_AND_RUN, tmp_path / "the node"],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [fetching.ANNOUNCEMENT.split()[0], "ready"]


FETCH_AND_RUN = """
import sys
from pathlib import Path
from taskmill.embedded import fetching
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
real = fetching.find_installed
fetching.find_installed = lambda root=Path("/"): None if root == Path("/") else real(root)
programs = fetching.find_or_fetch(lambda line: print(line.split()[0]))
node = EmbeddedRabbitMQ(Path(sys.argv[1]))
node.start(programs)
node.wait_until_ready()
print("ready")
node.stop()
"""
