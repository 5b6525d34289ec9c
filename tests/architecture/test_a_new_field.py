"""A field is added by CONTRIBUTING's list, here `colour` in a copy: few files change, and it is everywhere."""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from shutil import copy2

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "src/taskmill"
VERSIONS = f"{SOURCE}/storage/migrations/versions"
MOST_FILES = 12
PAGES = ("client_views", "http_pages", "cli_page")
# Each: the file, a text in it, and what comes behind that.
EDITS = [
    (
        "domain/task_fields.py",
        "        is_stored=False,\n        is_row=True,\n    ),\n",
        """    TaskField(
        name="colour",
        kind=Kind.NAME,
        label="Colour",
        given="how it is shown on the board",
        shown="how it is shown on the board",
        is_row=True,
    ),
""",
    ),
    ("domain/task.py", "    traceparent: str | None = None\n", "    colour: str | None = None\n"),
    ("domain/task.py", "    progress: Progress | None = None\n", "    colour: str | None = None\n"),
    (
        "domain/task.py",
        "        callback_url=draft.callback_url,\n",
        "        colour=draft.colour,\n",
    ),
    (
        "wire/tasks.py",
        '    callback_url: Url | None = _given("callback_url")\n',
        '    colour: fields.Slug | None = _given("colour")\n',
    ),
    (
        "wire/tasks.py",
        "        callback_url=request.callback_url,\n",
        "        colour=request.colour,\n",
    ),
    (
        "wire/tasks.py",
        '    callback_url: str | None = _shown("callback_url")\n',
        '    colour: str | None = _shown("colour")\n',
    ),
    (
        "wire/tasks.py",
        '        "callback_url": task.callback_url,\n',
        '        "colour": task.colour,\n',
    ),
    (
        "storage/schema.py",
        '    Column("payload_secrets", JSON),\n',
        '    Column("colour", Text),\n',
    ),
    ("storage/queries/create_tasks.sql", "$23::text[]", ", $24::text[]"),
    (
        "storage/queries/create_tasks.sql",
        "        key_scope, payload_secrets\n",
        "        , colour\n",
    ),
    ("storage/queries/create_tasks.sql", "source, traceparent, open_policy,", " colour,"),
    ("storage/queries/create_tasks.sql", "        traceparent, open_policy,", " colour,"),
    ("storage/queries/get_tasks.sql", "t.expires_at,", " t.colour,"),
    (
        "storage/tasks.py",
        "        draft.payload_secrets,\n",
        "        draft.colour,\n",
    ),
    (
        "storage/tasks.py",
        '        callback_url=row["callback_url"],\n',
        '        colour=row["colour"],\n',
    ),
    ("dashboard/texts/ru.json", "{\n", '  "field.colour": "Цвет",\n'),
]
# A committed migration has the function whole; this one is made of whatever the function is now.
MIGRATION = '''"""Tasks have a colour."""

from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = op.get_bind().exec_driver_sql("SELECT pg_get_functiondef('taskmill.create_task'::regproc)").scalar_one()
    for before, after in (
        ("json DEFAULT NULL::json)\\n RETURNS", "json DEFAULT NULL::json, colour text DEFAULT NULL)\\n RETURNS"),
        ("traceparent, open_policy, payload_secrets)", "traceparent, open_policy, payload_secrets, colour)"),
        ("THEN payload_secrets END)", "THEN payload_secrets END, colour)"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    op.execute("ALTER TABLE taskmill.task ADD COLUMN colour text")
    view = op.get_bind().exec_driver_sql("SELECT pg_get_viewdef('taskmill.current_task'::regclass)").scalar_one()
    assert view.count("t.payload_secrets") == 1
    view = view.replace("t.payload_secrets", "t.payload_secrets, t.colour")
    op.execute(f"CREATE OR REPLACE VIEW taskmill.current_task AS {{view}}")
    op.execute("DROP FUNCTION taskmill.create_task")
    op.get_bind().exec_driver_sql(text.replace("%", "%%"))
'''


def copy_of_the_project(folder: Path) -> Path:
    """Copy what is committed, and what would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, folder / name)
    return folder


def add_the_field(copy: Path) -> None:
    for name, before, line in EDITS:
        path = copy / SOURCE / name
        text = path.read_text("utf-8")
        assert before in text, (name, before)
        path.write_text(text.replace(before, before + line, 1), "utf-8")
    head = max(path.name[:4] for path in (copy / VERSIONS).glob("[0-9]*.py"))
    (copy / VERSIONS / "9999_colour.py").write_text(MIGRATION.format(head=head), "utf-8")


def run_in(copy: Path, *command: str | Path) -> None:
    env = {
        **os.environ,  # noqa: TID251 - what runs the tests
        "PYTHONPATH": str(copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    env.pop("COVERAGE_PROCESS_START", None)  # the copy's lines are not the project's
    ended = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, *command], cwd=copy, env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-3000:]


def hashes(folder: Path) -> dict[str, bytes]:
    def found() -> Iterator[Path]:
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(("tests/", VERSIONS, ".")):
                yield path

    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).digest() for path in found()
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_project(tmp_path_factory.mktemp("colour"))


def test_a_new_field_changes_few_files_and_is_there_everywhere(copy: Path) -> None:
    before = hashes(copy)
    add_the_field(copy)
    for page in PAGES:
        run_in(copy, f"scripts/{page}.py")
    changed = {name for name, found in hashes(copy).items() if before.get(name) != found}
    # And a line in CHANGELOG.md.
    assert len(changed) + 1 <= MOST_FILES, sorted(changed)
    chosen = ["tests/architecture/test_task_fields.py", "tests/integration/test_task_fields.py"]
    texts = ["tests/unit/dashboard/test_texts.py", "tests/architecture/test_contract_pages.py"]
    selected = "colour or not (comes_back or in_memory or page_of_a_task or same_values)"
    run_in(
        copy,
        *("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"),
        *chosen,
        *texts,
        "-k",
        selected,
    )
