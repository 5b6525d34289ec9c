"""Private parts of libraries are used in one module each, and their versions are capped."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "taskmill"
HOMES: Final = {
    "aiohttp": (
        "outbound/connections.py",
        r"aiohttp\.(client_|connector|tracing)|_retry_connection",
    ),
    "aiormq": (
        "amqp/driver.py",
        r"FutureStore|_on_confirm_frame|_on_return_frame|_get_frame|_read_content",
    ),
    "asyncpg": ("storage/asyncpg_internals.py", r"asyncpg\.protocol|IterableABC"),
    "pamqp": ("amqp/headers.py", r"_unmarshal_"),
    "uvicorn": ("runtime/uvicorn_internals.py", r"uvicorn\.(protocols|server)|uvicorn\.Server\b"),
}


@pytest.mark.parametrize("library", HOMES)
def test_private_parts_of_a_library_are_used_in_one_module(library: str) -> None:
    home, parts = HOMES[library]
    users = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(
            rf"^[^#\n]*(import|from|=|await|class|\.).*({parts})", path.read_text(), re.MULTILINE
        )
    ]
    assert users == [home]


@pytest.mark.parametrize("library", HOMES)
def test_a_library_whose_private_parts_are_used_is_capped_at_its_next_minor_version(
    library: str,
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    worker = project["optional-dependencies"]["worker"]
    [wanted] = [one for one in worker if re.match(rf"{library}\b", one)]
    locked = re.search(
        rf"^{library}==(\d+)\.(\d+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE
    )
    assert locked is not None
    assert wanted.endswith(f"<{locked[1]}.{int(locked[2]) + 1}")


def test_the_event_loops_private_parts_are_used_in_one_module() -> None:
    users = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"asyncio\._|_log_destroy_pending", path.read_text())
    ]
    assert users == ["worker/pool.py"]
