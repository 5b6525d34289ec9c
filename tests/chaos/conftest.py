"""Fixtures of the chaos tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.replicated import ReplicatedDatabase
from tests.support.stage import reused_databases, stage, stage_template, stage_url

__all__ = ["reused_databases", "stage", "stage_template", "stage_url"]


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[ReplicatedDatabase]:
    """A primary with a synchronous standby."""
    with ReplicatedDatabase(tmp_path / "databases") as databases:
        yield databases
