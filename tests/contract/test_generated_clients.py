"""Clients that others' generators make from the document compile and work, and a linter finds no error in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.contract.conftest import RunningService

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "clients"
ROOT = Path(__file__).resolve().parents[2]
# The earlier service's addresses end in a slash, and stay as they are.
DOCUMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/openapi.json", ()),
    ("/task_service/openapi.json", ("--skip-rule=no-path-trailing-slash",)),
)


def run(*command: str | Path, folder: Path) -> str:
    """Run a command, which has to succeed; returns what it printed."""
    dropped = ("PYTHON", "VIRTUAL_ENV", "COVERAGE_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(dropped)}  # noqa: TID251 - for a child
    done = subprocess.run(  # noqa: S603 - fixed words
        command,
        cwd=folder,
        env={**environment, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that come from npm."""
    npm = shutil.which("npm")
    assert npm, "these tests use programs from npm (Debian: apt-get install npm)"
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(HERE / name, folder)
    run(npm, "install", "--no-audit", "--no-fund", "--no-package-lock", folder=folder)
    return folder


@pytest.mark.parametrize(("document", "options"), DOCUMENTS)
def test_a_linter_finds_no_error(
    service: RunningService, node: Path, document: str, options: tuple[str, ...]
) -> None:
    (node / "openapi.json").write_text(httpx.get(service.url + document).text)
    lint = ("lint", "openapi.json", "--extends=recommended", "--format=json", *options)
    found = run(node / "node_modules/.bin/redocly", *lint, folder=node)
    problems = json.loads(found[found.index("{") :])["problems"]
    assert {one["ruleId"] for one in problems} <= {"operation-4xx-response", "no-unused-components"}
    assert [one for one in problems if one["severity"] == "error"] == []


def test_a_client_in_typescript_compiles_and_works(service: RunningService, node: Path) -> None:
    (node / "openapi.json").write_text(httpx.get(f"{service.url}/openapi.json").text)
    tools = node / "node_modules/.bin"
    run(tools / "openapi-typescript", "openapi.json", "--output", "schema.ts", folder=node)
    run(tools / "tsc", folder=node)
    printed = run("node", "client.js", service.url, folder=node).splitlines()
    assert printed[:2] == ["true", "from TypeScript new"]
    assert int(printed[2]) > 0
    assert printed[3:] == ["0", "422 /name"]


def test_a_client_in_python_works(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(httpx.get(f"{service.url}/openapi.json").text)
    make, lock = ROOT / "scripts/make_environment.py", ROOT / "requirements/clients.txt"
    run(sys.executable, "-I", make, tmp_path / "environment", lock, "", folder=tmp_path)
    programs = tmp_path / "environment/bin"
    generate = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path")
    run(programs / "openapi-python-client", *generate, "taskmill_client", folder=tmp_path)
    shutil.copy(HERE / "client.py", tmp_path)
    printed = run(programs / "python", "client.py", service.url, folder=tmp_path).splitlines()
    assert printed[0] == "from Python new"
    assert int(printed[1]) > 0
    assert printed[2:] == ["0", "422 /name"]
