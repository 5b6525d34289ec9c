"""A fake service, and the command line."""

from collections.abc import Callable, Iterator

import pytest

from taskmill.cli.main import run
from tests.support.fake_service import FakeService, serving


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with serving(service) as address:
        yield service, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> FakeService:
    served[0].clear()
    return served[0]


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
