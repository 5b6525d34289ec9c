"""A log file of several processes: no line is lost or torn, and its size is bounded."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from taskmill.composition import configure_logs
from taskmill.domain.errors import ConfigurationError
from taskmill.observability import logs
from taskmill.observability.log_file import LogFile
from taskmill.settings import load

WRITER = """
import sys
from pathlib import Path
from taskmill.observability.log_file import LogFile
file = LogFile(Path(sys.argv[1]), max_bytes=2_000, files=500)
for number in range(1_000):
    file.put(b'{"writer": "%s", "number": %d}\\n' % (sys.argv[2].encode(), number))
"""


def lines_of(folder: Path) -> list[bytes]:
    return [line for file in folder.iterdir() for line in file.read_bytes().splitlines()]


def test_several_processes_lose_no_line_while_the_file_is_renamed_again_and_again(
    tmp_path: Path,
) -> None:
    source = str(next(path for path in sys.path if path.endswith("src")))
    command = [sys.executable, "-c", WRITER, str(tmp_path / "log")]
    names = ("a", "b", "c")
    writers = [
        subprocess.Popen([*command, name], env={"PYTHONPATH": source})  # noqa: S603 - our own program
        for name in names
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    found = [(line["writer"], line["number"]) for line in map(json.loads, lines_of(tmp_path))]
    assert len(list(tmp_path.iterdir())) > 10
    assert sorted(found) == [(name, number) for name in names for number in range(1_000)]


def test_there_are_no_more_files_than_allowed_and_the_newest_lines_stay(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=100, files=3)
    for number in range(100):
        file.put(b"%09d\n" % number)
    file.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.1", "log.2"]
    assert sorted(lines_of(tmp_path)) == [b"%09d" % number for number in range(80, 100)]


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=100, files=2)
    file.put(b"line\n")
    file.close()

    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_file_that_can_not_be_written_costs_its_lines_only(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "no-such-folder" / "log", max_bytes=100, files=2)
    file.put(b"lost\n")
    (tmp_path / "no-such-folder").mkdir()
    file.put(b"written\n")
    file.close()

    assert (tmp_path / "no-such-folder" / "log").read_bytes() == b"written\n"


def test_a_program_does_not_start_without_its_log_file(tmp_path: Path) -> None:
    file = {"path": tmp_path / "no-such-folder" / "log"}
    with pytest.raises(ConfigurationError, match="no-such-folder/log: No such file or directory"):
        configure_logs(load(log_file=file))


@pytest.mark.parametrize("removal", ["unlink", "rename"])
def test_a_file_that_somebody_else_moves_away_is_made_again(tmp_path: Path, removal: str) -> None:
    path = tmp_path / "log"
    file = LogFile(path, max_bytes=100, files=2)
    file.put(b"before\n")
    if removal == "unlink":
        path.unlink()
    else:
        path.rename(tmp_path / "elsewhere")
    file.put(b"after\n")
    file.close()

    assert path.read_bytes() == b"after\n"


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Give the process its own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.configure(format="json", stream=io.StringIO())
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def events_in(text: str) -> list[str]:
    return [json.loads(line)["event"] for line in text.splitlines()]


@pytest.mark.usefixtures("own_logging")
def test_with_a_file_the_stream_has_one_line_for_each_task(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=100_000, files=2)
    logs.configure(format="json", stream=(stream := io.StringIO()), file=file)
    log = logs.get_logger("x")

    events = ("task.created", "task.claimed", "emulation.began", "task.retry_scheduled")
    for event in events:
        log.info(event, task_id="1")
    for status in (201, 422):
        log.info("request.served", method="POST", status=status)
    log.warning("emulation.failed")
    log.warning("task.failed", task_id="1")

    assert logs.flush()
    assert events_in(stream.getvalue()) == ["request.served", "task.failed"]
    assert events_in((tmp_path / "log").read_text()) == [
        *events,
        "request.served",
        "request.served",
        "emulation.failed",
        "task.failed",
    ]


@pytest.mark.usefixtures("own_logging")
def test_the_file_has_json_where_the_stream_is_for_people(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=100_000, files=2)
    logs.configure(format="console", stream=(stream := io.StringIO()), file=file)

    logs.get_logger("x").info("task.succeeded", task_id="1")

    assert logs.flush()
    assert "task.succeeded" in stream.getvalue()
    assert json.loads((tmp_path / "log").read_bytes())["task_id"] == "1"
