"""Several API processes on one database."""

import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from benchmarks.lab import Lab
from benchmarks.programs import Program, ProgramFailed

_REFUSED = "--processes is for"


@asynccontextmanager
async def api_processes(lab: Lab, url: str, count: int) -> AsyncIterator[list[str]]:
    """Run so many; return the addresses to put load on.

    They share one (`taskmill run api --processes N`). A version that has several processes only for workers runs
    each at an address of its own, and the load is spread over all of these.
    """
    async with AsyncExitStack() as stack:
        try:
            addresses = [await stack.enter_async_context(_sharing(lab, url, count))]
        except ProgramFailed as error:
            if _REFUSED not in str(error):
                raise
            addresses = [
                str((await stack.enter_async_context(_alone(lab, url, number))).url)
                for number in range(count)
            ]
            print("  no `run api --processes`: each has an address of its own", flush=True)
        yield addresses


@asynccontextmanager
async def _sharing(lab: Lab, url: str, count: int) -> AsyncIterator[str]:
    port = _free_port()
    options = ("--port", str(port), "--processes", str(count))
    async with lab.taskmill("api", url, *options, name="api-processes"):
        yield f"http://127.0.0.1:{port}"


def _alone(lab: Lab, url: str, number: int) -> AbstractAsyncContextManager[Program]:
    return lab.taskmill("api", url, "--port", "0", name=f"api-{number}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
