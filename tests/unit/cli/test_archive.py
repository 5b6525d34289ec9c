"""`taskmill archive` reads files only."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from taskmill.storage.archive_files import ArchiveWriter, delete_unfinished, trouble_with
from tests.support.commands import Taskmill

WRITTEN_AT = datetime(2026, 11, 30, tzinfo=UTC)
# Of 2026-07-21, in the 30th week.
FIRST = UUID("019f8265-8c00-7000-8000-000000000001")
SECOND = UUID("019f8265-8c00-7000-8000-000000000002")


def a_line(task_id: UUID, status: str) -> str:
    task = {"id": str(task_id), "status": status, "payload": {"city": "Köln"}}
    return json.dumps({"task": task, "history": [], "log": []}, ensure_ascii=False)


def write(folder: Path, *lines: str, week: str = "2026w30") -> None:
    with ArchiveWriter(folder, week) as writer:
        writer.add(lines)
        writer.finish(WRITTEN_AT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is set."""
    folder = tmp_path / "archive"
    folder.mkdir()
    monkeypatch.setenv("TASKMILL_RETENTION__ARCHIVE_PATH", str(folder))
    return folder


def test_archived_weeks_are_listed(taskmill: Taskmill, folder: Path) -> None:
    assert taskmill("archive", "list") == (0, "", "no week was archived yet\n")
    write(folder, a_line(FIRST, "failed"), week="2026w31")
    write(folder, a_line(FIRST, "failed"), a_line(SECOND, "succeeded"))
    (folder / "2026w29-abc.unfinished").write_bytes(b"half")
    status, out, _ = taskmill("archive", "list")
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["2026w30", "2"],
        ["2026w31", "1"],
    ]
    _, out, _ = taskmill("archive", "list", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["tasks"] for line in lines] == [2, 1]
    # As times of the service are shown.
    assert lines[0]["written_at"] == "2026-11-30T00:00:00.000000Z"


def test_a_task_is_shown_as_it_was_archived_last(taskmill: Taskmill, folder: Path) -> None:
    write(folder, a_line(FIRST, "failed"), a_line(SECOND, "failed"))
    write(folder, a_line(FIRST, "succeeded"))
    assert taskmill("archive", "show", str(FIRST))[:2] == (0, a_line(FIRST, "succeeded") + "\n")
    assert taskmill("archive", "show", str(SECOND))[:2] == (0, a_line(SECOND, "failed") + "\n")
    status, out, _ = taskmill("archive", "show", "2026w30", "--folder", str(folder))
    assert (status, len(out.splitlines())) == (0, 3)


@pytest.mark.parametrize(
    ("wanted", "status", "message"),
    [
        ("nothing", 2, "Give the id of a task, or a week"),
        # Its time would be in the year 10889.
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 2, "Give the id of a task, or a week"),
        ("2026w29", 1, "week 2026w29 is not in the archive"),
        (str(SECOND), 1, "is not in the archive; its week is 2026w30"),
    ],
)
def test_what_is_not_there_is_reported(
    taskmill: Taskmill, folder: Path, wanted: str, status: int, message: str
) -> None:
    write(folder, a_line(FIRST, "failed"))
    found, out, err = taskmill("archive", "show", wanted)
    assert (found, out) == (status, "")
    assert message in err


def test_a_file_that_is_damaged_hides_no_other_week(taskmill: Taskmill, folder: Path) -> None:
    write(folder, a_line(FIRST, "failed"))
    for week in (28, 29):
        (folder / f"2026w{week}.ndjson.gz").write_bytes(b"damaged")
    assert taskmill("archive", "show", str(FIRST))[:2] == (0, a_line(FIRST, "failed") + "\n")
    assert taskmill("archive", "show", "2026w30")[0] == 0
    status, out, err = taskmill("archive", "list")
    assert (status, [line.split()[0] for line in out.splitlines()]) == (1, ["WEEK", "2026w30"])
    for week in (28, 29):
        assert f"2026w{week}.ndjson.gz can't be read" in err
    status, out, _ = taskmill("archive", "list", "--json")
    assert (status, [json.loads(line)["week"] for line in out.splitlines()]) == (1, ["2026w30"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-40],
        # A block of a kind that does not exist.
        lambda whole: whole[: whole.index(b"\x1f\x8b", 2) + 10] + b"\xff" * 40,
        lambda whole: gzip.compress(gzip.decompress(whole).replace(b'{"task"', b"{task")),
    ],
    ids=["cut off", "not compressed", "no JSON"],
)
def test_damage_in_the_middle_of_a_file_is_reported(
    taskmill: Taskmill, folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    write(folder, a_line(FIRST, "failed"), a_line(SECOND, "failed"))
    path = folder / "2026w30.ndjson.gz"
    path.write_bytes(damage(path.read_bytes()))
    status, out, err = taskmill("archive", "show", str(SECOND))
    assert (status, out) == (1, "")
    assert f"{path} can't be read" in err


def test_without_a_folder_it_says_how_to_name_one(taskmill: Taskmill) -> None:
    status, _, err = taskmill("archive", "list")
    assert (status, "TASKMILL_RETENTION__ARCHIVE_PATH" in err) == (2, True)
    status, _, err = taskmill("archive", "list", "--folder", "missing")
    assert (status, "the archive can't be read" in err) == (1, True)


def test_a_folder_that_is_missing_is_found_before_the_first_week_goes(folder: Path) -> None:
    assert trouble_with(folder) is None
    assert trouble_with(folder / "missing") == "there is no such folder"
    (folder / "file").touch()
    assert trouble_with(folder / "file") == "it is not a folder"


def test_what_fails_while_it_is_written_leaves_no_file(folder: Path) -> None:
    with ArchiveWriter(folder, "2026w30") as writer:
        writer.add([a_line(FIRST, "failed")])
    assert list(folder.iterdir()) == []
    with pytest.raises(UnicodeEncodeError):
        write(folder, "\ud800")
    assert list(folder.iterdir()) == []
    (folder / "2026w29-abc.unfinished").write_bytes(b"half")
    write(folder, a_line(FIRST, "failed"))
    delete_unfinished(folder)
    assert [path.name for path in folder.iterdir()] == ["2026w30.ndjson.gz"]
