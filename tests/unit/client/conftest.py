"""A fake service, and a client of it."""

from collections.abc import Iterator

import pytest

from taskmill.client import TaskmillClient
from tests.support.fake_service import FakeService, served, service

__all__ = ["served", "service"]


@pytest.fixture
def url(served: tuple[FakeService, str]) -> str:
    return served[1]


@pytest.fixture
def client(url: str) -> Iterator[TaskmillClient]:
    with TaskmillClient(url) as opened:
        yield opened
