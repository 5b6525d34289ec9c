"""The part of raw bytes: each connection gets proper responses without a 5xx, or it is closed in time."""

import asyncio
from contextlib import suppress
from itertools import count

from tests.fuzz.by_document import Target
from tests.fuzz.exchange import Response, UnreadableResponse, read_response
from tests.fuzz.findings import Tally
from tests.fuzz.malformed import Attack, Ending, an_attack
from tests.fuzz.seeds import seeded

NAME = "raw bytes"
_AT_ONCE = 100
# The service waits 30 s for the rest of a request, and as long for the next one.
_DEADLINE_S = 75.0
# Half-closing makes the service give up what it has not sent yet.
_QUIET_S = 0.15
_BLOCK = 64 * 1024


async def send_raw_bytes(target: Target, tally: Tally, *, number: int) -> None:
    """Open connections, many at once, until the goal is reached or the time is over."""
    numbers = count()
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(_attack_all(target, tally, number, numbers))


async def _attack_all(target: Target, tally: Tally, number: int, numbers: "count[int]") -> None:
    while (index := next(numbers)) < tally.goals[NAME] and not tally.is_late:
        rng = seeded(number, index)
        attack = an_attack(rng.choice(("", *target.keys.values())), rng)
        # Many addresses, so that ports in TIME-WAIT do not run out.
        address = f"127.0.{rng.randint(0, 3)}.{rng.randint(1, 250)}"
        result, violation = await _result(target, attack, address)
        tally.add(NAME, result)
        if violation:
            evidence = f"connection {index}, {attack.ending}: {attack.raw!r} -> {result}"
            tally.report(NAME, f"{attack.kind}: {violation}", evidence)


async def _result(target: Target, attack: Attack, address: str) -> tuple[str, str]:
    """Return what came, and what was wrong with it, if anything was."""
    try:
        async with asyncio.timeout(_DEADLINE_S):
            received = await _received(target, attack, address)
            responses = await _parsed(received, attack)
    except TimeoutError:
        return "timeout", f"neither a response nor a close within {_DEADLINE_S:.0f} s"
    except UnreadableResponse as error:
        return "unreadable", f"a response that can't be read: {error}"
    statuses = sorted({response.status for response in responses})
    wrong = f"status {statuses[-1]}" if statuses and statuses[-1] >= 500 else ""
    return "+".join(map(str, statuses)) or "closed", wrong


async def _received(target: Target, attack: Attack, address: str) -> bytes:
    """Send everything, and return all that comes until the service closes, or is aborted here."""
    reader, writer = await asyncio.open_connection(
        target.host, target.port, local_addr=(address, 0)
    )
    received = bytearray()
    try:
        for part in attack.parts:
            writer.write(part)
            await writer.drain()
        if attack.ending is Ending.ABORTED:
            return b""
        if attack.ending is Ending.HALF_CLOSED:
            writer.write_eof()
        if attack.ending is Ending.QUIET:
            await _until_quiet(reader, received)
            writer.write_eof()
        while block := await reader.read(_BLOCK):
            received += block
    except OSError:  # it closed while something was still being sent
        pass
    finally:
        writer.transport.abort()
    return bytes(received)


async def _until_quiet(reader: asyncio.StreamReader, received: bytearray) -> None:
    """Read until nothing has come for a moment, or the service has closed."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(_QUIET_S):
                block = await reader.read(_BLOCK)
            if not block:
                return
            received += block


async def _parsed(received: bytes, attack: Attack) -> list[Response]:
    reader = asyncio.StreamReader(limit=2**24)
    reader.feed_data(received)
    reader.feed_eof()
    responses: list[Response] = []
    # The response to HEAD has no body, and only what the service understood says whether one was sent.
    is_for_head = b"HEAD" in attack.raw
    # A connection that was half-closed may be closed within a response: nobody is known to read it.
    with suppress(EOFError):
        while not reader.at_eof():
            responses.append(await read_response(reader, b"HEAD" if is_for_head else b"GET"))
            if is_for_head:
                break
    return responses
