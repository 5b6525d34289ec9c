"""A few hundred cases of the fuzzer on the service as it is, and on one with a fault."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest

from taskmill.api.app import openapi_document
from taskmill.settings import FeedSettings, PullSettings, Settings
from tests.fuzz.by_document import Target, counted_as, send_by_document
from tests.fuzz.document import Documents
from tests.fuzz.exchange import Request
from tests.fuzz.findings import Tally
from tests.fuzz.raw_bytes import NAME as RAW_BYTES, send_raw_bytes
from tests.proofs import ROOT
from tests.support.api import LogLines, serving
from tests.support.api_keys import a_new_key
from tests.support.search import seed_of, tries
from tests.support.stage import Stage

SETTINGS = Settings(
    auth="required",
    feed=FeedSettings(stream_s=0.01, wait_s=0.01),
    pull=PullSettings(wait_s=0.01),
)
BODY = b'{"name": "a task", "queue": "fuzz", "payload": {"delay_s": 1}}'


@cache
def document() -> dict[str, Any]:
    return openapi_document()


def one_of_each() -> list[Request]:
    """A request for each operation."""
    return [
        Request(
            method=method.upper().encode(),
            target=path.replace("{id}", "17").replace("{name}", "fuzz").encode(),
            headers=((b"Content-Type", b"application/json"),) if "requestBody" in operation else (),
            body=BODY if "requestBody" in operation else b"",
        )
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]


@asynccontextmanager
async def a_target(stage: Stage) -> AsyncIterator[Target]:
    reader = await a_new_key(stage.database, "tasks:read")
    admin = await a_new_key(stage.database, "admin")
    async with serving(stage.service, SETTINGS) as served:
        host, _, port = served.url.removeprefix("http://").partition(":")
        keys = {"none": "", "reader": reader.text, "admin": admin.text}
        yield Target(host=host, port=int(port), keys=keys)


async def found(target: Target, *, requests: int, connections: int) -> Tally:
    goals = {counted_as(role): requests for role in target.keys}
    tally = Tally(goals=goals | {RAW_BYTES: connections})
    documents = Documents({"/openapi.json": document()})
    await send_by_document(target, documents, one_of_each(), tally, number=1)
    await send_raw_bytes(target, tally, number=1)
    return tally


async def test_a_few_hundred_cases_find_nothing(stage: Stage) -> None:
    async with a_target(stage) as target:
        tally = await found(target, requests=60, connections=50)
    assert tally.findings == []
    admin = tally.results[counted_as("admin")]
    assert min(admin["200"], admin["404"], admin["422"]) > 0, tally.results


async def test_a_fault_of_the_service_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    def fail(*_: object, **__: object) -> Callable[..., object]:
        raise RuntimeError("planted")

    monkeypatch.setattr(stage.service, "queues", fail)
    async with a_target(stage) as target:
        tally = await found(target, requests=60, connections=0)
    assert {what for _, what in tally.kinds} == {"GET /queues: status 500"}
    assert "GET /queues" in tally.findings[0].evidence
    assert log_lines.named("request.failed")


@pytest.mark.slow
def test_a_share_of_all_cases_finds_nothing(pytestconfig: pytest.Config) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed_of(pytestconfig))]
    for option, whole in (("requests", 50_000), ("connections", 50_000), ("messages", 20_000)):
        command += [f"--{option}", str(tries(whole))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - its own
    assert ran.returncode == 0, ran.stdout + ran.stderr
