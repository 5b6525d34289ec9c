"""Programs that benchmarks start, and when they count as ready."""

from pathlib import Path

import pytest

from benchmarks.programs import ProgramFailed, running

WRITES = """
import pathlib, signal, sys
pathlib.Path(sys.argv[sys.argv.index("--ready-file") + 1]).write_text({text!r})
signal.pause()
"""


@pytest.mark.parametrize(
    ("text", "url"), [("{}", None), ('{"url": "http://localhost"}', "http://localhost")]
)
async def test_a_program_is_ready_once_its_file_is_written_whatever_is_in_it(
    tmp_path: Path, text: str, url: str | None
) -> None:
    words = ["-c", WRITES.format(text=text)]
    async with running("one", words, folder=tmp_path, environment={}) as program:
        assert program.url == url


async def test_a_program_that_writes_nothing_is_not_ready(tmp_path: Path) -> None:
    words = ["-c", WRITES.format(text="")]
    with pytest.raises(ProgramFailed, match="not ready in time"):
        async with running("one", words, folder=tmp_path, environment={}, start_s=0.3):
            pass
