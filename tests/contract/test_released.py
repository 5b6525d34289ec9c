"""What the last release promised, and how the next one is made."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from taskmill.version import VERSION
from tests.support.processes import environment
from tools.release import chart, making as release, surface

RELEASED = surface.read(release.SNAPSHOT.read_text(encoding="utf-8"))
BEFORE = {
    "POST /tasks": "",
    "POST /tasks query dry_run": "optional",
    "TaskView": "",
    "TaskView.id": "uuid",
    "TASKMILL_API__PORT": "8000",
    "taskmill_tasks_total": "counter by queue, type",
    "taskmill task create": "",
    "taskmill task create --type": "optional",
}


def unreleased() -> str:
    return release.section_of(release.CHANGELOG.read_text(encoding="utf-8"), "Unreleased")


def test_what_the_last_release_promised_stays_or_its_break_is_named() -> None:
    changes = unreleased()
    found = surface.breaks(RELEASED, surface.current())
    unnamed = [f"`{name}` {why}" for name, why in found.items() if not surface.named(name, changes)]
    assert unnamed == [], "the changelog's Unreleased section has to name these, in backticks"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"TaskView.id": None}, "is gone"),
        ({"TaskView.id": "string"}, "was uuid, and is string"),
        ({"TASKMILL_API__PORT": "80"}, "was 8000, and is 80"),
        ({"taskmill_tasks_total": "counter by queue"}, "was counter by queue, type, and is"),
        ({"taskmill task create --type": None}, "is gone"),
        ({"taskmill task create --name": "required"}, "is new, and required"),
        ({"POST /tasks query dry_run": "required"}, "was optional, and is required"),
        ({"TaskView.zone": "required string"}, "is new, and required"),
    ],
)
def test_each_kind_of_break_is_noticed(change: dict[str, str | None], why: str) -> None:
    now = {name: words for name, words in {**BEFORE, **change}.items() if words is not None}
    [(name, reason)] = surface.breaks(BEFORE, now).items()
    assert name in change
    assert reason.startswith(why)


# A break of each part, as somebody would make it: a file, what stands there, what takes its place, what is found.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("wire/tasks.py", " losses: int = _shown", " lost: int = _shown", "TaskView.losses"),
        ("amqp/names.py", '"tasks.create"', '"tasks.make"', "amqp create"),
        ("amqp/names.py", '"taskmill.tasks.create"', '"taskmill.new"', "amqp create queue"),
        ("amqp/names.py", '"taskmill.events"', '"events"', "amqp changes exchange"),
        ("cli/tasks.py", '"--wait"', '"--await", "wait"', "taskmill task create --wait"),
        ("settings/api.py", "Field(8000", "Field(80", "TASKMILL_API__PORT"),
        ("observability/flow.py", '"cancels_total"', '"cancel_total"', "taskmill_cancels_total"),
        ("client/synchronous/steering.py", "def cancel(", "def stop(", "Client.cancel"),
    ],
)
def test_a_break_in_the_source_is_found(
    tmp_path: Path, file: str, before: str, after: str, found: str
) -> None:
    source = shutil.copytree(release.ROOT / "src", tmp_path / "src") / "taskmill" / file
    text = source.read_text(encoding="utf-8")
    assert before in text
    source.write_text(text.replace(before, after, 1), encoding="utf-8")
    script = "from tools.release import surface; print(surface.text_of(surface.current(), '1.2.3'))"
    now = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script],
        env={**environment(), "PYTHONPATH": f"{tmp_path / 'src'}{os.pathsep}{release.ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    broken = surface.breaks(RELEASED, surface.read(now.stdout))
    assert found in broken.keys() - surface.breaks(RELEASED, surface.current()).keys()


@pytest.mark.parametrize(
    "change",
    [
        {"TaskView.zone": "string"},
        {"DELETE /tasks": "", "DELETE /tasks query all": "required"},
        {"NewModel": "", "NewModel.name": "required string"},
        {"TASKMILL_NEW": "1"},
        {"taskmill task create --zone": "optional"},
    ],
)
def test_what_is_only_new_is_no_break(change: dict[str, str]) -> None:
    assert surface.breaks(BEFORE, {**BEFORE, **change}) == {}


def test_a_break_is_named_by_its_own_name_in_backticks() -> None:
    assert surface.named("TaskView.id", "- `TaskView.id` is a text now.")
    assert not surface.named("TaskView.id", "- `TaskView.ids` and TaskView.id")


def test_the_list_has_something_of_everything_that_is_promised() -> None:
    now = surface.current()
    for name, words in {
        "POST /tasks": "",
        "GET /tasks query status": "optional",
        "TaskView.created_at": "date-time",
        "CreateTask.name": "required string",
        "TASKMILL_API__PORT": "8000",
        "taskmill_tasks_created_total": None,
        "log task.created": "",
        "taskmill task create --payload": "optional",
        "taskmill.create_task name": "required text",
        "taskmill.create_task payload_secrets": "optional json",
        "taskmill.pause_schedule paused": "optional boolean",
        "Client.create name": "",
        "amqp create exchange": "taskmill",
        "amqp create queue": "taskmill.tasks.create",
    }.items():
        assert name in now
        assert words in (None, now[name]), (name, now[name])
    assert surface.read(surface.text_of(now, "1.2.3")) == now


def test_the_list_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = surface.current()
    monkeypatch.setenv("TASKMILL_API__PORT", "1")
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(99)))
    assert surface.current() == before


def last_release() -> str:
    changelog = release.CHANGELOG.read_text(encoding="utf-8")
    versions: list[str] = re.findall(r"^## \[(\d.*)\]", changelog, re.MULTILINE)
    return versions[0]


def chart_versions() -> list[str]:
    text = release.CHART.read_text(encoding="utf-8")
    return re.findall(r"^(?:version|appVersion): (.*)$", text, re.MULTILINE)


def test_a_version_is_cut_in_the_changelog_the_source_the_chart_and_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_refuse_changes", lambda: None)
    for name in ("CHANGELOG", "VERSION_FILE", "CHART", "SNAPSHOT"):
        copy = tmp_path / name
        copy.write_text(getattr(release, name).read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(release, name, copy)
    text = release.CHANGELOG.read_text(encoding="utf-8")
    release.CHANGELOG.write_text(
        text.replace("## [Unreleased]\n", "## [Unreleased]\n\n### Added\n\n- Something.\n", 1),
        encoding="utf-8",
    )
    release.cut("9.8.7", "2030-01-31")
    cut = release.CHANGELOG.read_text(encoding="utf-8")
    assert "## [Unreleased]\n\n## [9.8.7] - 2030-01-31\n\n### Added\n\n- Something." in cut
    assert release.section_of(cut, "9.8.7").startswith("### Added\n\n- Something.\n")
    assert '"9.8.7"' in release.VERSION_FILE.read_text(encoding="utf-8")
    assert chart_versions() == ["9.8.7", "9.8.7"]
    assert "Taskmill 9.8.7 promised" in release.SNAPSHOT.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="nothing is unreleased"):
        release.cut("9.8.8", "2030-02-01")
    with pytest.raises(ValueError, match="is no version"):
        release.cut("9.8", "2030-02-01")


def test_the_chart_and_the_list_have_the_version_of_the_last_release() -> None:
    last = last_release()
    assert chart_versions() == [last, last]
    first = release.SNAPSHOT.read_text(encoding="utf-8").splitlines()[0]
    assert f"Taskmill {last} promised" in first
    assert last == VERSION or re.match(r"\d+\.\d+\.0\.dev0", VERSION)


def test_the_packed_chart_has_every_file_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    packed = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        packed.append(chart.pack(tmp_path / name).read_bytes())
    assert packed[0] == packed[1]
    with tarfile.open(tmp_path / "first" / f"taskmill-{chart.version()}.tgz") as archive:
        # Links would lead out of the archive.
        assert all(entry.isfile() for entry in archive.getmembers())
        names = {name.removeprefix("taskmill/") for name in archive.getnames()}
    found = {
        str(path.relative_to(chart.CHART)) for path in chart.CHART.rglob("*") if path.is_file()
    }
    dashboards = {path.name for path in (chart.CHART / "files/dashboards").iterdir()}
    assert names == {*found, *(f"files/dashboards/{name}" for name in dashboards)} - {".helmignore"}
    assert {"Chart.yaml", "values.schema.json", "files/alerts.yml"} <= names
    assert dashboards
