"""Freed memory is given back to the system."""

import platform
import re
from pathlib import Path

import pytest

from taskmill.runtime.heap import trim_heap

BLOCKS, BLOCK_BYTES = 10_000, 16_384
FREED_KB = BLOCKS // 2 * BLOCK_BYTES // 1024


def own_kb() -> int:
    found = re.search(r"Anonymous:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can")
def test_what_was_freed_between_used_blocks_goes_back_to_the_system() -> None:
    blocks = [b"x" * BLOCK_BYTES for _ in range(BLOCKS)]
    full_kb = own_kb()
    del blocks[::2]
    trim_heap()
    # A block's first and last page may be shared with its neighbours.
    assert full_kb - own_kb() > FREED_KB / 2
    assert len(blocks) == BLOCKS // 2
