"""One word for one thing: the glossary names what is there, and its retired words do not come back."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from scripts.metrics_page import page
from taskmill.observability.catalogue import SECTIONS
from taskmill.storage.schema import metadata
from tests.support.processes import ROOT

SOURCE = ROOT / "src/taskmill"
MIGRATIONS = SOURCE / "storage/migrations/versions"
QUERIES = SOURCE / "storage/queries"
OTHER_CODE = ("tests", "benchmarks", "tools", "scripts", "examples")
PAGE = (ROOT / "docs/reference/glossary.md").read_text(encoding="utf-8")
LOGGED = {"debug", "info", "warning", "error", "exception"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_DEFINED = re.compile(r"^\s*(?:async def|def|class) (\w+)", re.MULTILINE)
_NO_SQL = re.compile(r"--.*|'[^']*'")


def rows(cells: int) -> list[list[str]]:
    """The rows of the page's tables that have so many cells, without their heads."""
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == cells]
    return [row for row in rows if row[0] not in {"word", "retired"}]


def words_of(name: str) -> set[str]:
    """The words of an identifier in lower case, also without the -s of a plural."""
    found = {word.lower() for word in _WORD.findall(name)}
    return found | {word.removesuffix("s") for word in found}


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if MIGRATIONS not in path.parents]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def classes() -> list[tuple[str, str]]:
    """Every class with its module, as the page names modules."""
    return [
        (node.name, path.relative_to(SOURCE).as_posix())
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]


def log_events() -> set[str]:
    return {
        node.args[0].value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOGGED
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def metric_names() -> set[str]:
    page()  # It imports all that declares some.
    return {metric.name for section in SECTIONS for metric in section.metrics}


def identifiers() -> set[str]:
    """Every name that the program gives: functions, parameters, fields, members, locals."""
    found = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            match node:
                case (
                    ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name)
                ):
                    found.add(name)
                case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                    found.add(name)
    return found


def names_of_other_code() -> set[str]:
    """The functions and classes of tests, benchmarks and the like."""
    paths = (path for folder in OTHER_CODE for path in (ROOT / folder).rglob("*.py"))
    return {name for path in paths for name in _DEFINED.findall(path.read_text(encoding="utf-8"))}


def names_in_sql() -> set[str]:
    """Every word of the statements that is neither in a comment nor in a string."""
    texts = (path.read_text(encoding="utf-8") for path in QUERIES.glob("*.sql"))
    return {word for text in texts for word in re.findall(r"[a-z_]+", _NO_SQL.sub(" ", text))}


def names_in_the_schema() -> set[str]:
    tables = metadata.tables.values()
    columns = {f"{table.name}.{column.name}" for table in tables for column in table.columns}
    return columns | {str(index.name) for table in tables for index in table.indexes}


def names() -> dict[str, set[str]]:
    """What the retired words may not be in, by kind."""
    return {
        "class": {name for name, _ in classes()},
        "module": {path.relative_to(SOURCE).with_suffix("").as_posix() for path, _ in trees()},
        "name in code": identifiers(),
        "function or class outside the program": names_of_other_code(),
        "SQL file": {path.stem for path in QUERIES.glob("*.sql")},
        "name in SQL": names_in_sql(),
        "column or index": names_in_the_schema(),
        "log event": log_events(),
        "metric": metric_names(),
    }


def test_a_word_stands_once_with_the_module_that_owns_it() -> None:
    glossary = rows(3)
    assert 40 <= len(glossary) <= 60
    assert [word for word, count in Counter(row[0] for row in glossary).items() if count > 1] == []
    modules = {module.strip("`") for _, _, module in glossary}
    assert [module for module in modules if not (SOURCE / module).is_file()] == []


def test_a_word_of_the_glossary_names_no_class_elsewhere() -> None:
    owners = {word.title().replace(" ", ""): module.strip("`") for word, _, module in rows(3)}
    assert [where for where in classes() if owners.get(where[0], where[1]) != where[1]] == []


def test_retired_words_do_not_come_back() -> None:
    retired = {word.strip() for words, _ in rows(2) for word in words.split(",")}
    assert len(retired) > 30
    for kind, found in names().items():
        assert len(found) > 30, kind
        assert {name for name in found if words_of(name) & retired} == set(), kind
