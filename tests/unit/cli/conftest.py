"""A fake service, and the command line."""

import io
from collections.abc import Callable

import pytest

from taskmill.cli.main import run
from tests.support.fake_service import FakeService, served, service

__all__ = ["served", "service"]


@pytest.fixture
def url(served: tuple[FakeService, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the service, which is also in the environment."""
    monkeypatch.setenv("TASKMILL_URL", served[1])
    return served[1]


@pytest.fixture
def taskmill(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit status, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return call


class Person(io.StringIO):
    """Standard input of a person at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Type at the terminal."""

    def types(text: str) -> None:
        monkeypatch.setattr("sys.stdin", Person(text))
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    return types
