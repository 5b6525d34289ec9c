"""The program's entry: help, errors, exit statuses, and how it starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import click
import orjson
import pytest

from taskmill import __version__
from taskmill.cli.main import program
from tests.support.every import every
from tests.support.fake_service import FakeService, unused_url
from tests.support.polling import wait_until

Taskmill = Callable[..., tuple[int, str, str]]
PROGRAM = [sys.executable, "-m", "taskmill"]


@pytest.fixture
def environment() -> dict[str, str]:
    others = {name: text for name, text in os.environ.items() if not name.startswith("TASKMILL_")}  # noqa: TID251 - for a child process
    return {**others, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


@every("path", [(), *_commands(program)])
def test_every_command_explains_itself(taskmill: Taskmill, path: tuple[str, ...]) -> None:
    status, out, _ = taskmill(*path, "--help")

    assert status == 0
    assert out.startswith("Usage: taskmill")


def test_the_help_lists_every_command_in_one_line(taskmill: Taskmill) -> None:
    _, out, _ = taskmill("--help")

    for name in program.list_commands(click.Context(program)):
        assert f"\n  {name} " in out
    assert "..." not in out.partition("Options:")[2]


def test_the_version_is_printed(taskmill: Taskmill) -> None:
    assert taskmill("--version") == (0, f"taskmill {__version__}\n", "")


@pytest.mark.parametrize("wrong", [["upp"], ["up", "--prt", "1"], ["run"], ["run", "cook"]])
def test_a_wrong_command_line_is_exit_status_2(taskmill: Taskmill, wrong: list[str]) -> None:
    status, out, err = taskmill(*wrong)

    assert (status, out) == (2, "")
    assert "Error: " in err


@pytest.mark.parametrize("command", [["migrate"], ["run", "worker"]])
def test_a_missing_database_is_an_error_with_advice(
    taskmill: Taskmill, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    status, _, err = taskmill(*command)

    assert status == 1
    assert "TASKMILL_DATABASE_URL" in err
    assert "taskmill up" in err


def test_a_database_that_is_away_is_one_message(taskmill: Taskmill) -> None:
    address = unused_url().replace("http", "postgresql") + "/taskmill"

    status, out, err = taskmill("migrate", "--database-url", address)

    assert (status, out) == (1, "")
    assert err.startswith("Error: the database can't be used: ")


def test_a_bad_setting_is_one_message(
    taskmill: Taskmill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMILL_API__PORT", "http")

    status, out, err = taskmill("settings")

    assert (status, out) == (1, "")
    assert err.startswith("Error: TASKMILL_API__PORT='http' (environment): expected")


def test_settings_are_shown_with_secrets_masked_and_sources(
    taskmill: Taskmill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMILL_DATABASE_URL", "postgresql://me:hidden@host/db")

    _, out, _ = taskmill("settings")
    _, as_json, _ = taskmill("settings", "--json")

    lines = [line.split() for line in out.splitlines()]
    assert ["TASKMILL_DATABASE_URL", "postgresql://me:***@host/db", "environment"] in lines
    assert ["TASKMILL_API__PORT", "8000", "default"] in lines
    assert "hidden" not in out + as_json


def test_settings_with_a_word_are_explained(
    taskmill: Taskmill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    _, out, _ = taskmill("settings", "lease", "retry__base")
    status, nothing, err = taskmill("settings", "no-such")

    names = [line.partition("=")[0] for line in out.splitlines() if not line.startswith(" ")]
    assert names == ["TASKMILL_LEASE__TTL_S", "TASKMILL_RETRY__BASE_S"]
    assert "  how long a silent worker keeps its tasks" in out
    assert (status, nothing, err) == (1, "", "Error: no setting has no-such in its name\n")


def test_the_help_and_the_version_import_no_heavy_library(environment: dict[str, str]) -> None:
    heavy = ["httpx", "pydantic", "rich", "textual", "sqlalchemy", "fastapi", "asyncio"]
    script = (
        "import sys; from taskmill.cli.main import run; run(['--help']); run(['--version'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_early_causes_no_error(
    service: FakeService, url: str, environment: dict[str, str]
) -> None:
    for _ in range(2000):
        service.add(name="n" * 200)
    command = [*PROGRAM, "task", "list", "--all", "--json", "--url", url]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""


def interrupted(child: "subprocess.Popen[bytes]") -> bytes:
    """Press Ctrl-C, and again as a person would: Python loses an interrupt that strikes in a finalizer."""
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        try:
            return child.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it goes on after three interrupts")


def test_an_interrupted_watch_ends_with_130_and_without_a_traceback(
    service: FakeService, url: str, environment: dict[str, str]
) -> None:
    task = service.add()
    command = [*PROGRAM, "task", "watch", task["id"], "--url", url]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            wait_until(lambda: len(service.requests) > 2, "the watch polls the task")
            err = interrupted(child)
        finally:
            child.kill()
    assert child.returncode == 130
    assert b"Traceback" not in err


def test_a_full_disk_is_one_message(
    service: FakeService, url: str, environment: dict[str, str]
) -> None:
    service.add()
    for options in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(  # noqa: S603 - our own program
                [*PROGRAM, "task", "list", "--url", url, *options],
                env=environment,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_streams_that_are_closed_are_written_nothing(
    service: FakeService, url: str, environment: dict[str, str]
) -> None:
    task = service.add()
    command = " ".join([*PROGRAM, "task", "show", task["id"], "--url", url])
    done = subprocess.run(  # noqa: S603 - our own program
        ["/bin/sh", "-c", f"{command} >&- 2>&-"], env=environment, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_can_not_show_is_escaped_and_json_stays_as_it_is(
    service: FakeService, url: str, environment: dict[str, str], encoding: str
) -> None:
    service.add(name="ж😀")
    command = [*PROGRAM, "task", "list", "--url", url]
    outputs = [
        subprocess.run(  # noqa: S603 - our own program
            [*command, *options],
            env={**environment, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        ).stdout
        for options in ([], ["--json"])
    ]
    assert rb"\u0436\U0001f600" in outputs[0]
    assert orjson.loads(outputs[1])["name"] == "ж😀"


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_locale_that_has_no_such_letters_costs_no_traceback(
    service: FakeService, url: str, environment: dict[str, str], locale: dict[str, str]
) -> None:
    service.add(name="письмо")
    done = subprocess.run(  # noqa: S603 - our own program
        [*PROGRAM, "task", "list", "--url", url],
        env={**environment, **locale},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u043f\u0438\u0441" in done.stdout


@pytest.mark.parametrize("command", ["top", "task list", "health"])
def test_a_program_without_any_stream_ends_as_it_should(
    service: FakeService, url: str, environment: dict[str, str], command: str
) -> None:
    del service
    words = " ".join([*PROGRAM, command, "--url", url])
    done = subprocess.run(  # noqa: S603 - our own program
        ["/bin/sh", "-c", f"timeout 60 {words} <&- >&- 2>&- & wait $!"],
        env=environment,
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["watch", "wait"])
def test_a_program_that_reads_along_gets_each_line_at_once(
    service: FakeService, url: str, environment: dict[str, str], command: str
) -> None:
    first, second = service.add(), service.add()
    if command == "wait":
        service.end(first)
    ids = [first["id"], second["id"]] if command == "wait" else [first["id"]]
    buffered = {k: v for k, v in environment.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(  # noqa: S603 - our own program
        [*PROGRAM, "task", command, "--json", *ids, "--url", url],
        env=buffered,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        given_up = Timer(30, child.kill)
        given_up.start()
        try:
            assert orjson.loads(child.stdout.readline())["id"] == first["id"]
        finally:
            given_up.cancel()
            child.kill()
