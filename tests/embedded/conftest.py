"""Data folders for the tests of the embedded server, made once and copied."""

import shutil
from pathlib import Path

import pytest

from taskmill.embedded.postgres import EmbeddedPostgres
from tests.support.api import log_lines
from tests.support.postgres import FAST_SETTINGS, chosen_bin_dir

__all__ = ["log_lines"]


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped server's data folder; copy it, never use it."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS):
        pass
    return folder


@pytest.fixture
def data_dir(made_data: Path, tmp_path: Path) -> Path:
    """A data folder of this test's own."""
    return shutil.copytree(made_data, tmp_path / "data")


@pytest.fixture
def server(data_dir: Path) -> EmbeddedPostgres:
    """A server that is not started yet."""
    return EmbeddedPostgres(data_dir, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS)
