"""One source makes two packages: `taskmill`, for the client, and `taskmill-service`, which has all else."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.extras import files_of_taskmill, modules_of_service
from tests.support.processes import ROOT

SOURCE = ROOT / "src" / "taskmill"
# What these do without the other package, they say in one line.
GUARDED = {"__init__.py": {"taskmill.app"}, "entry.py": {"taskmill.cli"}}


def project(folder: str) -> dict[str, Any]:
    text = (ROOT / folder / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def modules_of_taskmill() -> list[Path]:
    listed = files_of_taskmill()
    nested = (path for folder in listed for path in folder.rglob("*.py"))
    return [path for path in (*listed, *nested) if path.suffix == ".py"]


def imported(text: str) -> Iterator[str]:
    """The modules of ours that a text imports, anywhere, by their first two names."""
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "taskmill":
            names = [f"taskmill.{one.name}" for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (".".join(name.split(".")[:2]) for name in names)


def test_all_that_is_listed_exists() -> None:
    assert [path for path in files_of_taskmill() if not path.exists()] == []


def test_what_the_package_of_the_client_imports_is_in_it() -> None:
    service = modules_of_service()
    assert {"taskmill.api", "taskmill.app", "taskmill.cli", "taskmill.worker"} <= service
    found = {
        path.relative_to(SOURCE).as_posix(): others
        for path in modules_of_taskmill()
        # Its first module names the extra where one of these is missing.
        if path.parent.name != "testing"
        and (others := service.intersection(imported(path.read_text(encoding="utf-8"))))
    }
    assert found == GUARDED


@pytest.mark.parametrize(
    "line",
    ["import taskmill.app.registry", "from taskmill import app", "from taskmill.app import x"],
)
def test_each_way_to_import_is_noticed(line: str) -> None:
    assert [*imported(f"def use():\n    {line}\n")] == ["taskmill.app"]


def test_the_two_packages_need_each_other() -> None:
    """In the same version, which tests/packages/test_versions.py builds."""
    first, second = project("."), project("packages/service")
    assert second["dependencies"] == ["taskmill"]
    # All extras with code of the other package contain this one.
    assert "taskmill-service" in first["optional-dependencies"]["cli"]
    for name in ("license", "requires-python"):
        assert first[name] == second[name]
