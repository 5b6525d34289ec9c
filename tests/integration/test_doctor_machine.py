"""What the doctor finds on its machine: disks that are full, and open files that run out."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskmill.domain.attention import Severity
from taskmill.domain.doctor import DiagnosisKind
from taskmill.runtime.machine import open_files
from taskmill.settings import ApiSettings
from tests.chaos.small_disk import a_small_disk
from tests.support.doctor import examined, settings_of, wrong
from tests.support.stage import Stage


@contextmanager
def a_file_limit(limit: int) -> Iterator[None]:
    """Let this process open fewer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_disk_that_is_almost_full_is_named_with_its_folder(
    stage: Stage, tmp_path: Path
) -> None:
    with a_small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("a small disk needs root, and the right to mount")
        settings = settings_of(stage, data_dir=disk)
        key = (DiagnosisKind.DISK, "the data folder")
        assert key not in wrong(await examined(stage, settings=settings))
        for mebibytes, severity in ((370, Severity.WARNING), (27, Severity.TROUBLE)):
            (disk / severity).write_bytes(bytes(mebibytes * 2**20))
            found = wrong(await examined(stage, settings=settings))[key]
            assert (found.severity, found.command) == (
                severity,
                f"du -xh --max-depth=2 {disk}",
            )


async def test_files_that_run_out_are_named(stage: Stage) -> None:
    await examined(stage)
    files = open_files()
    assert files is not None
    with a_file_limit(files.used + 6):
        found = wrong(await examined(stage))[DiagnosisKind.FILES, "used"]
    assert "ulimit -n" in found.command


async def test_more_connections_than_files_are_named(stage: Stage) -> None:
    settings = settings_of(stage, api=ApiSettings(connections=1_000_000))
    found = wrong(await examined(stage, settings=settings))[DiagnosisKind.FILES, "limit"]
    assert "TASKMILL_API__CONNECTIONS=1000000" in found.evidence
