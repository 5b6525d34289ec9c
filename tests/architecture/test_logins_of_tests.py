"""Tests run the program with the logins of its roles: see tests/support/roles.py."""

import re
from pathlib import Path

import pytest

from taskmill.storage.rights import APP, MAINTENANCE
from tests.support.roles import DATABASE, MAINTENANCE_DATABASE, as_role, with_logins

TESTS = Path(__file__).resolve().parents[1]
# Connections with the server's own login, that of a superuser, and why.
AS_OWNER = {
    "e2e/test_up.py": "an index is looked for in the database of a running `up`",
    "fuzz/service.py": "keys are made, as `taskmill key` does",
    "integration/test_key_commands.py": "keys are made, as `taskmill key` does",
    "migrations/test_schemas_of_before.py": "schemas from before the roles have none",
    "support/seeding.py": "partitions of the past are filled by SQL, for benchmarks as well",
}
OWNERS_DATABASE = re.compile(r"(?<!\w)Database\((?!\"postgresql://)")
URL = "postgresql://taskmill:secret@/taskmill?host=/tmp/x"


def test_tests_open_connections_with_the_login_of_a_role() -> None:
    found = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        if path.name != Path(__file__).name and OWNERS_DATABASE.search(path.read_text())
    }
    assert found == set(AS_OWNER), (
        "use `RoleDatabase`, `stage.database` or `stage.maintenance_database`"
    )


@pytest.mark.parametrize(
    ("words", "logins"),
    [
        (("run", "api", "--port", "0"), {DATABASE: APP}),
        (("run", "worker", "--processes", "2"), {DATABASE: APP}),
        (("run", "maintenance"), {DATABASE: MAINTENANCE}),
        (("run", "api", "maintenance"), {DATABASE: APP, MAINTENANCE_DATABASE: MAINTENANCE}),
    ],
)
def test_each_process_has_the_login_of_its_role(
    words: tuple[str, ...], logins: dict[str, str]
) -> None:
    expected = {name: as_role(URL, role) for name, role in logins.items()}
    assert with_logins(words, {DATABASE: URL, "X": "y"}) == {**expected, "X": "y"}


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (("up", "--port", "0"), URL),
        (("run", "api"), "postgresql://taskmill_reader:secret@/taskmill?host=/tmp/x"),
        (("run", "api"), "postgresql://nobody@127.0.0.1:1/none"),
    ],
)
def test_a_command_that_migrates_and_a_login_that_a_test_chose_stay(
    words: tuple[str, ...], url: str
) -> None:
    assert with_logins(words, {DATABASE: url}) == {DATABASE: url}
    assert with_logins(words, {}) == {}
