"""The normal client and the attackers: what counts as refused, what as waiting, and what is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.attacks import large, with_key
from benchmarks.attacks.attack import ADDRESS, request, status_of_request
from benchmarks.attacks.catalogue import attacks
from benchmarks.disturbance import Seen
from benchmarks.figures import Verdict
from benchmarks.normal_client import measure
from benchmarks.scenarios.neighbours import Round, figures_of
from taskmill.settings import LimitSettings

CREATED = b"HTTP/1.1 201 Created\r\nlocation: /tasks/1\r\ncontent-length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"

Respond = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def a_server(respond: Respond) -> AsyncIterator[str]:
    """Respond to each request with the function's result for its head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(await respond(head))
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def respond_well(head: bytes) -> bytes:
    return CREATED if head.startswith(b"POST /tasks ") else OK


async def test_a_client_that_is_served_creates_and_reads_at_its_pace() -> None:
    seen_heads = []

    async def respond(head: bytes) -> bytes:
        seen_heads.append(head)
        return await respond_well(head)

    async with a_server(respond) as url:
        seen = await measure(url, 0.3)
    assert (len(seen.response_ms), seen.failed) == (4 * 3 * 2, [])
    assert sum(head.startswith(b"GET /tasks/1 ") for head in seen_heads) == 4 * 3


@pytest.mark.parametrize(("first", "failed"), [(BUSY, "503"), (None, "IncompleteReadError")])
async def test_another_status_and_no_response_are_refusals(
    first: bytes | None, failed: str
) -> None:
    responses = iter([first])

    async def respond(head: bytes) -> bytes:
        response = next(responses, await respond_well(head))
        if response is None:
            raise ConnectionError
        return response

    async with a_server(respond) as url:
        seen = await measure(url, 0.2)
    [only] = seen.failed
    assert only.startswith(failed)
    assert len(seen.response_ms) == 4 * 2 * 2 - 2


async def test_waiting_for_the_request_before_counts() -> None:
    """A server that holds one connection delays the requests that are due on it meanwhile."""
    held = asyncio.Event()

    async def respond(head: bytes) -> bytes:
        if not held.is_set():
            held.set()
            await asyncio.sleep(0.35)  # the delay under test
        return await respond_well(head)

    async with a_server(respond) as url:
        seen = await measure(url, 0.5)
    assert sum(ms > 40 for ms in seen.response_ms) >= 3
    assert max(seen.response_ms) >= 340


async def test_what_could_not_be_sent_in_time_is_refused_and_the_client_ends(
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
    assert seen.response_ms == []
    assert len(seen.failed) == 4 * 6
    assert set(seen.failed) == {"TimeoutError()", "never sent"}


@pytest.mark.parametrize(
    ("during", "verdicts"),
    [
        (Seen(response_ms=[14.0] * 20), [Verdict.MET, Verdict.MET]),
        (Seen(response_ms=[5.0] * 18 + [16.0] * 2), [Verdict.MISSED, Verdict.MET]),
        (Seen(response_ms=[5.0] * 20, failed=["503"]), [Verdict.MET, Verdict.MISSED]),
    ],
)
def test_an_attack_is_withstood_if_p95_is_below_three_times_undisturbed_and_nothing_is_refused(
    during: Seen, verdicts: list[Verdict]
) -> None:
    undisturbed = Seen(response_ms=[5.0] * 20)
    figures = figures_of(
        [Round(first=undisturbed, last=undisturbed, pairs={"an attack": (during, undisturbed)})]
    )
    with_target = [one for one in figures if one.target is not None]
    assert [one.verdict for one in with_target if one.name.startswith("an attack")] == verdicts


def test_attackers_come_from_an_address_of_their_own() -> None:
    peers = []

    async def attacked() -> str:
        def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peers.append(writer.get_extra_info("peername")[0])
            writer.write(BUSY)
            writer.close()

        async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await status_of_request(url, request("GET", "/tasks"))

    assert asyncio.run(attacked()) == "503"
    assert peers == [ADDRESS] == ["127.0.0.2"]


def test_what_large_attacks_send_is_as_large_as_is_taken() -> None:
    """A request above a limit would be refused unread, and would be no attack."""
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


async def test_a_client_with_an_api_key_shows_it_in_each_request() -> None:
    seen_heads = []

    async def respond(head: bytes) -> bytes:
        seen_heads.append(head)
        return await respond_well(head)

    async with a_server(respond) as url:
        await measure(url, 0.1, "tm_key")
        assert all(b"authorization: Bearer tm_key\r\n" in head for head in seen_heads)
        seen_heads.clear()
        await measure(url, 0.1)
    assert seen_heads
    assert not any(b"authorization" in head for head in seen_heads)


@pytest.mark.parametrize("name", with_key.ATTACKS)
async def test_an_attack_with_a_key_sends_all_of_its_requests_and_counts_their_statuses(
    name: str,
) -> None:
    attack = with_key.ATTACKS[name]
    lines: list[bytes] = []

    async def respond(head: bytes) -> bytes:
        assert b"authorization: Bearer tm_greedy\r\n" in head
        lines.append(head.partition(b"\r\n")[0])
        return OK if len(lines) <= 10 else BUSY

    async with a_server(respond) as url:
        statuses = await with_key.run(attack, url, "tm_greedy", 130)
    assert statuses == {"200": 10, "503": 120}
    assert len(lines) == 130
    assert attack.requests * (100 if "queue names" in name else 1) in {100_000, with_key.NAMES}
