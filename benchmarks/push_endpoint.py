"""An endpoint that responds to every request at once with 204."""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import uvloop

_RESPONSE = b"HTTP/1.1 204 No Content\r\ndate: Wed, 25 Nov 2026 12:00:00 GMT\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to requests without bodies: each ends with its headers."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_RESPONSE)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _run(ready: Callable[[str], object]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ready(json.dumps({"url": f"http://127.0.0.1:{port}/"}))
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ready-file", type=Path, required=True)
    uvloop.run(_run(parser.parse_args().ready_file.write_text))
