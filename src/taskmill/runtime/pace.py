"""Work in the background that leaves at least half of the time to others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_LONGEST_PAUSE_S: Final = 1.0


@asynccontextmanager
async def paced() -> AsyncIterator[None]:
    """Do a step of work, and then pause for as long as it took, a second at most."""
    now_s = asyncio.get_running_loop().time
    began_s = now_s()
    yield
    await asyncio.sleep(min(now_s() - began_s, _LONGEST_PAUSE_S))
