"""The folder that mutmut works in, and who may use it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_tests(folder: Path) -> Iterator[None]:
    """Have mutmut copy the tests anew: it copies without deleting, and a test that is gone would still run.

    Without its tests a run takes every change as noticed, so nobody else may run in the folder meanwhile.

    Raises:
        SystemExit: another run is under way.
    """
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another run is under way in {folder}") from None
        shutil.rmtree(folder / "mutants/tests", ignore_errors=True)
        yield
