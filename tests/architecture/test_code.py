"""What holds for all source files: imports, sizes, homes of settings, SQL that is used; and the size of tests."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from taskmill.storage.statements import QUERIES
from tests.support.every import every

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/taskmill"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES_OF_A_FUNCTION = 60
MOST_LINES_OF_A_FILE = 400
FOLDERS_OF_CODE = ("src", "tests", "tools", "scripts", "benchmarks", "examples")
HOMES_OF_SETTINGS = {"settings/__init__.py", "cli", "storage/migrations/env.py"}
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|manager|misc)(_|\.|$)")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, int]]:
    """Every function and its length, its decorators and docstring included."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
                yield f"{name_of(path)}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_function_is_too_long_and_most_are_short() -> None:
    lengths = dict(functions())
    assert {n: lines for n, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}
    assert median(lengths.values()) <= 8
    assert quantiles(lengths.values(), n=10)[-1] <= 25


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("folder", FOLDERS_OF_CODE)
def test_no_file_is_too_long(folder: str) -> None:
    lines = {path.relative_to(ROOT): lines_of(path) for path in (ROOT / folder).rglob("*.py")}
    assert lines, "there are none"
    assert {path: count for path, count in lines.items() if count > MOST_LINES_OF_A_FILE} == {}


def test_no_module_is_called_by_what_it_is_not_about() -> None:
    assert [name_of(path) for path in FILES if FORBIDDEN_NAMES.search(path.name)] == []


def test_every_module_says_what_its_duty_is() -> None:
    # A migration's docstring is its headline; the file of an environment has one as well.
    assert [name_of(path) for path in FILES if not ast.get_docstring(tree_of(path))] == []


def test_nobody_imports_the_root_package() -> None:
    packages = {path.stem for path in SOURCE.iterdir()}
    importers = {
        name_of(path)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Import) and any(a.name == "taskmill" for a in node.names))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "taskmill"
            and not {alias.name for alias in node.names} <= packages
        )
    }
    assert importers == set()


def test_settings_are_made_in_their_homes_only() -> None:
    makers = set()
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and _makes_settings(node.func):
                makers.add(name_of(path))
    strangers = {
        name
        for name in makers
        if name not in HOMES_OF_SETTINGS and name.split("/")[0] not in HOMES_OF_SETTINGS
    }
    assert strangers == set()


def _makes_settings(called: ast.expr) -> bool:
    text = ast.unparse(called)
    return text in {"Settings", "settings.load", "configuration.load"}


def test_the_layers_hold() -> None:
    """`lint-imports`, as `scripts/test` runs it, so that an editor's test run has it, too."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(  # noqa: S603 - our own program
        [program, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},  # noqa: TID251 - the child's, plus ours
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


STARS = re.compile(r"'\*'|count\(\*\)|SELECT \*\s+FROM unnest|\b(?!SELECT)[\w.]+ \* \w+")
STATEMENTS = sorted(path.stem for path in QUERIES.glob("*.sql"))


def statements_in_code() -> set[str]:
    """The names that code gives to `statement`, `fetch` and `fetch_value`."""
    names = set()
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and node.args and _takes_a_statement(node.func):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    names.add(first.value)
    return names


def _takes_a_statement(called: ast.expr) -> bool:
    text = ast.unparse(called)
    return text == "statement" or text.endswith(
        ("database.fetch", "self.fetch_value", "fetch_value")
    )


def test_every_statement_is_used_and_every_used_one_exists() -> None:
    assert statements_in_code() == set(STATEMENTS)


@every("name", STATEMENTS)
def test_a_statement_says_what_it_is_for_and_names_its_columns(name: str) -> None:
    text = (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
    assert text.startswith("-- Purpose: ")
    code = re.sub(r"--.*", "", text)
    assert ";" not in code, "one statement a file"
    # Stars are for counting, for products, and for `input`, whose columns are named where it is made.
    assert "*" not in STARS.sub("", code)
    parameters = {int(number) for number in re.findall(r"\$(\d+)", code)}
    assert parameters == set(range(1, len(parameters) + 1)), "parameters without gaps"
    for number in parameters:
        header = "".join(line for line in text.splitlines() if line.startswith("--"))
        assert f"${number}" in header or "$1..$" in header, f"${number} is not explained"
