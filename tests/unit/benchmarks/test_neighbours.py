"""The normal client and the attackers: what is counted as refused, what as waited for, and what is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.attacks import large
from benchmarks.attacks.attack import ADDRESS, answered, request
from benchmarks.attacks.catalogue import attacks
from benchmarks.figures import Verdict
from benchmarks.normal_client import measure
from benchmarks.scenarios.neighbours import Round, Seen, figures_of
from taskmill.settings import LimitSettings

CREATED = b"HTTP/1.1 201 Created\r\nlocation: /tasks/1\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"

Answering = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def a_server(answering: Answering) -> AsyncIterator[str]:
    """Answer each request with what the function says to its head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(await answering(head))
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def well(head: bytes) -> bytes:
    return CREATED if head.startswith(b"POST /tasks ") else OK


async def test_a_client_that_is_served_creates_and_reads_at_its_pace() -> None:
    seen_heads = []

    async def answering(head: bytes) -> bytes:
        seen_heads.append(head)
        return await well(head)

    async with a_server(answering) as url:
        seen = await measure(url, 0.3)
    assert (len(seen.answered_ms), seen.failed) == (4 * 3 * 2, [])
    assert sum(head.startswith(b"GET /tasks/1 ") for head in seen_heads) == 4 * 3


@pytest.mark.parametrize(("first", "failed"), [(BUSY, "503"), (None, "IncompleteReadError")])
async def test_another_answer_and_none_are_refusals(first: bytes | None, failed: str) -> None:
    answers = iter([first])

    async def answering(head: bytes) -> bytes:
        answer = next(answers, await well(head))
        if answer is None:
            raise ConnectionError
        return answer

    async with a_server(answering) as url:
        seen = await measure(url, 0.2)
    [only] = seen.failed
    assert only.startswith(failed)
    assert len(seen.answered_ms) == 4 * 2 * 2 - 2


async def test_who_had_to_wait_for_the_one_before_has_waited_too() -> None:
    """A server that holds one connection for a while delays all that was to be sent on it meanwhile."""
    held = asyncio.Event()

    async def answering(head: bytes) -> bytes:
        if not held.is_set():
            held.set()
            await asyncio.sleep(0.35)  # what is waited for is what is tested
        return await well(head)

    async with a_server(answering) as url:
        seen = await measure(url, 0.5)
    assert sum(ms > 40 for ms in seen.answered_ms) >= 3
    assert max(seen.answered_ms) >= 340


async def test_what_could_not_be_sent_for_too_long_is_refused_and_the_client_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.normal_client._TIMEOUT_S", 0.2)

    is_over = asyncio.Event()

    async def never(_: bytes) -> bytes:
        await is_over.wait()
        raise ConnectionError

    async with a_server(never) as url, asyncio.timeout(10):
        seen = await measure(url, 0.6)
        is_over.set()
    assert seen.answered_ms == []
    assert len(seen.failed) == 4 * 6
    assert set(seen.failed) == {"TimeoutError()", "never sent"}


@pytest.mark.parametrize(
    ("during", "verdicts"),
    [
        (Seen(answered_ms=[14.0] * 20), [Verdict.MET, Verdict.MET]),
        (Seen(answered_ms=[5.0] * 18 + [16.0] * 2), [Verdict.MISSED, Verdict.MET]),
        (Seen(answered_ms=[5.0] * 20, failed=["503"]), [Verdict.MET, Verdict.MISSED]),
    ],
)
def test_an_attack_is_borne_when_p95_stays_below_three_times_calm_and_nobody_is_refused(
    during: Seen, verdicts: list[Verdict]
) -> None:
    calm = Seen(answered_ms=[5.0] * 20)
    figures = figures_of([Round(first=calm, last=calm, pairs={"an attack": (during, calm)})])
    judged = [one for one in figures if one.target is not None]
    assert [one.verdict for one in judged if one.name.startswith("an attack")] == verdicts


def test_attackers_come_from_an_address_of_their_own() -> None:
    peers = []

    async def attacked() -> str:
        def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peers.append(writer.get_extra_info("peername")[0])
            writer.write(BUSY)
            writer.close()

        async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await answered(url, request("GET", "/tasks"))

    assert asyncio.run(attacked()) == "503"
    assert peers == [ADDRESS] == ["127.0.0.2"]


def test_what_large_attacks_send_is_as_large_as_is_taken() -> None:
    """What is over a limit is refused unread, and so would be no attack."""
    limits = LimitSettings()
    sizes = {
        name: len(data.partition(b"\r\n\r\n")[2])
        for name, attack in large.attacks().items()
        if isinstance(data := attack.once.keywords["data"], bytes)  # type: ignore[attr-defined]  # a partial
    }
    batches = {name: size for name, size in sizes.items() if name.startswith("batch")}
    others = {name: size for name, size in sizes.items() if name not in batches}
    assert all(0.85 * limits.batch_bytes < size <= limits.batch_bytes for size in batches.values())
    assert all(0.8 * limits.body_bytes < size <= limits.body_bytes for size in others.values())
    assert batches.keys() | others.keys() < attacks().keys()
