"""A fake service, which `taskmill top` reads."""

import pytest

from tests.support.fake_service import FakeService, served, service

__all__ = ["served", "service"]


@pytest.fixture
def url(served: tuple[FakeService, str]) -> str:
    """The address of the service."""
    return served[1]
