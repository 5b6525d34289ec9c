"""The fuzzer works: what is as documented passes, and servers that are broken on purpose are noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from taskmill.api.app import openapi_document
from tests.fuzz.by_document import Target, counted_as, send_by_document
from tests.fuzz.document import Documents
from tests.fuzz.exchange import Request
from tests.fuzz.findings import Tally
from tests.fuzz.hostile_messages import a_message
from tests.fuzz.raw_bytes import NAME as RAW_BYTES, send_raw_bytes
from tests.fuzz.seeds import seeded
from tests.fuzz.variants import KnownIds, a_variant

PROBLEM = b'{"type":"/problems/not-found","title":"Not found","status":404,"detail":"no such task"}'
LIST_QUEUES = Request(method=b"GET", target=b"/queues")
CREATE = Request(method=b"POST", target=b"/tasks", body=b'{"name": "a task"}')


def a_response(
    status: int, body: bytes = PROBLEM, media_type: str = "application/problem+json"
) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\nx-request-id: 1\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@asynccontextmanager
async def a_server(response: bytes) -> AsyncIterator[Target]:
    """A server that sends the same to every request, whatever it is."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(2**16):
            head, end, _ = response.partition(b"\r\n\r\n")
            writer.write(head + end if request.startswith(b"HEAD ") else response)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Target(host="127.0.0.1", port=port, keys={"none": "", "reader": "a-key"})


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents({"/openapi.json": openapi_document()})


async def found_by_document(
    documents: Documents, response: bytes, *pool: Request, requests: int = 40
) -> set[str]:
    tally = Tally(goals={counted_as("none"): requests, counted_as("reader"): requests})
    async with a_server(response) as target:
        await send_by_document(target, documents, pool, tally, number=1)
    assert tally.counts[counted_as("reader")] >= requests
    return {what for _, what in tally.kinds}


async def found_by_raw_bytes(response: bytes, connections: int) -> set[str]:
    tally = Tally(goals={RAW_BYTES: connections})
    async with a_server(response) as target:
        await send_raw_bytes(target, tally, number=1)
    assert tally.counts[RAW_BYTES] == connections
    return {what.partition(": ")[2] for _, what in tally.kinds}


async def test_documented_refusals_are_no_findings(documents: Documents) -> None:
    assert await found_by_document(documents, a_response(422), LIST_QUEUES, CREATE) == set()


@pytest.mark.parametrize(
    ("response", "finding"),
    [
        (a_response(500), "GET /queues: status 500"),
        (a_response(503, b""), "GET /queues: status 503"),
        (a_response(418), "GET /queues: undocumented status 418"),
        (a_response(422, media_type="text/plain"), "undocumented media type 'text/plain'"),
        (
            a_response(422, b"{}"),
            "GET /queues: 422 does not fit its schema at components/schemas/Problem/required",
        ),
        (a_response(422, b"{"), "GET /queues: 422 with a body that is not JSON"),
        (a_response(422).replace(b"x-request-id", b"x-other"), "422 without X-Request-Id"),
        (a_response(200, b"{}", "application/json"), "GET /queues: 200 without a key"),
        (b"nonsense\r\n\r\n", "no response: UnreadableResponse"),
    ],
    ids=["500", "503", "status", "type", "schema", "json", "id", "key", "nonsense"],
)
async def test_a_broken_response_is_found(
    documents: Documents, response: bytes, finding: str
) -> None:
    found = await found_by_document(documents, response, LIST_QUEUES)
    assert [one for one in found if finding in one], found


async def test_a_reader_that_may_write_is_found(documents: Documents) -> None:
    found = await found_by_document(documents, a_response(201, b"{}", "application/json"), CREATE)
    assert "POST /tasks: 201 for a key that may only read" in found


async def test_connections_that_get_a_refusal_or_nothing_are_no_findings() -> None:
    assert await found_by_raw_bytes(a_response(400), 100) == set()
    assert await found_by_raw_bytes(b"", 100) == set()


@pytest.mark.parametrize(
    ("response", "finding"),
    [(a_response(500), "status 500"), (b"HTTP/1.1 200 OK\r\n\x00: x\r\n\r\n", "can't be read")],
    ids=["500", "nonsense"],
)
async def test_a_broken_response_to_raw_bytes_is_found(response: bytes, finding: str) -> None:
    found = await found_by_raw_bytes(response, 100)
    assert [one for one in found if finding in one], found


def test_a_seed_makes_the_same_cases_again() -> None:
    def cases() -> list[Any]:
        rng = seeded("a seed", 7)
        variants = [a_variant(CREATE, KnownIds(), rng).raw() for _ in range(200)]
        return [*variants, *(a_message("shop", rng).shown for _ in range(200))]

    assert cases() == cases()


def test_ids_of_responses_come_into_requests() -> None:
    ids, known = KnownIds(), b"01a2104d-0554-7000-aa31-7e1796e3ff04"
    ids.learn(b"/tasks?limit=1", b'{"items":[{"id":"' + known + b'"}]}')
    request = Request(method=b"POST", target=b"/tasks/17/cancel")
    targets = {a_variant(request, ids, seeded(n)).target.partition(b"?")[0] for n in range(50)}
    assert targets == {b"/tasks/17/cancel", b"/tasks/" + known + b"/cancel"}


def test_goals_that_are_not_reached_are_findings() -> None:
    tally = Tally(goals={"raw bytes": 2})
    tally.add("raw bytes", "400")
    tally.check_goals()
    assert tally.kinds == {("raw bytes", "fewer than wanted in the time"): 1}
