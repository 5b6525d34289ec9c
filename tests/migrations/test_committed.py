"""A committed migration never changes: databases have run it, and would not run it again.

`committed.sha256` has a hash of each file: `sha256sum --check` reads it in the folder of the migrations, too.
"""

import ast
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from taskmill.storage import migrate
from tests.support.migrating import VERSIONS, fetch_rows

FOLDER = migrate.MIGRATIONS / "versions"
LISTING = Path(__file__).with_name("committed.sha256")


def committed() -> dict[str, str]:
    lines = LISTING.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def hashes(folder: Path) -> dict[str, str]:
    files = [file for suffix in ("py", "sql") for file in folder.rglob(f"*.{suffix}")]
    return {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest() for file in files
    }


def complaints(folder: Path) -> list[str]:
    """Return what to do about each file that differs from what was committed."""
    listed, found = committed(), hashes(folder)
    changed = [name for name in listed if found.get(name) != listed[name]]
    return [
        *(
            f"{name} is committed, and databases have run it: undo what you changed in it, and write a new "
            "migration (CONTRIBUTING.md, How to write a migration)"
            for name in sorted(changed)
        ),
        *(
            f"{name} is new: when it is ready to be committed, add this line to tests/migrations/{LISTING.name}: "
            f"{found[name]}  {name}"
            for name in sorted(found.keys() - listed.keys())
        ),
    ]


def test_no_migration_that_is_committed_has_changed() -> None:
    assert "\n".join(complaints(FOLDER)) == ""


def test_a_migration_that_changes_goes_or_comes_is_noticed(tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER, tmp_path / "versions")
    assert complaints(copy) == []
    with (copy / "0021_unserved_types" / "create_task.sql").open("a") as file:
        file.write("\n")
    (copy / "0020_removable_queues.py").unlink()
    (copy / "0022_colours.py").write_text("")
    last, first, new = complaints(copy)
    assert last.startswith("0020_removable_queues.py is committed")
    assert first.startswith("0021_unserved_types/create_task.sql is committed")
    assert first.endswith("write a new migration (CONTRIBUTING.md, How to write a migration)")
    assert new.endswith(f": {sha256().hexdigest()}  0022_colours.py")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_migration_has_its_sql_itself(version: Path) -> None:
    """It uses nothing of the program that may change, and reads no function's text from the database."""
    text = version.read_text(encoding="utf-8")
    imported = {
        f"{node.module}.{name.name}" if isinstance(node, ast.ImportFrom) else name.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert imported <= {"alembic.op", "taskmill.storage.migrate.script"}
    assert "pg_get_functiondef" not in text


async def test_each_function_is_as_the_last_migration_that_has_it(
    database_url: str,
) -> None:
    bodies: dict[str, str] = {}
    for version in VERSIONS:
        for file in sorted(version.with_suffix("").rglob("*.sql")):
            text = file.read_text(encoding="utf-8")
            if file.name != "down.sql":
                for names in re.findall(_DROPPED, text):
                    for name in re.findall(r"taskmill\.(\w+)", names):
                        bodies.pop(name, None)
                bodies.update(dict(re.findall(_FUNCTION, text)))
    assert dict(await fetch_rows(database_url, _BODIES)) == bodies


_FUNCTION = r"(?s)FUNCTION taskmill\.(\w+)\((?:(?!FUNCTION).)*?AS \$\$(.*?)\$\$"
_DROPPED = r"(?s)DROP FUNCTION([^;]*);"
_BODIES = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace"
