"""Command lines run in the test's own process."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from taskmill.cli.main import run

Taskmill: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def taskmill(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Taskmill:
    """Run a command line in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return call
