"""Requests with API keys: both ways to a response, idempotency keys, streams, and what is never shown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import httpx
import orjson
import pytest

from taskmill.api.fast_path import FastPath
from taskmill.domain.api_keys import parse_key
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.runtime.fast_path import FastRequest
from taskmill.settings import Settings
from taskmill.storage.api_keys import revoke
from tests.support.api import LIMITS, SETTINGS, LogLines, Served, raw_request, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.raw_requests import LAST, LONG_WAY, a_post, parsed_responses
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request that the fast path was offered, whether it took it."""
    taken: list[bool] = []
    begin = FastPath.begin

    def noted(path: FastPath, request: FastRequest) -> bool:
        taken.append(begin(path, request))
        return taken[-1]

    monkeypatch.setattr(FastPath, "begin", noted)
    return taken


async def test_a_known_key_is_served_by_the_fast_path(
    required: Served, stage: Stage, begun: list[bool]
) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read")
    first = await required.post("/tasks", {"name": "a"}, headers=shown(key))
    assert begun == [False]
    again = await required.post("/tasks", {"name": "a"}, headers=shown(key))
    read = await required.get(f"/tasks/{again.json()['id']}", headers=shown(key))
    assert begun == [False, True, True]
    assert first.status_code == again.status_code == 201
    assert read.json() == again.json()


async def test_the_fast_path_refuses_nothing_itself(
    required: Served, stage: Stage, begun: list[bool]
) -> None:
    task = await stage.created(queue="mail")
    key = await a_new_key(stage.database, "tasks:create queue=mail")
    assert (await required.post("/tasks", {"name": "a"}, headers=shown(key))).status_code == 403
    for path, body, status in (("/tasks", {"name": "a"}, 403), (f"/tasks/{task.id}", None, 403)):
        method = "GET" if body is None else "POST"
        short = await required.http.request(method, path, json=body, headers=shown(key))
        long = await required.http.request(
            method, path, json=body, headers={**shown(key), **LONG_WAY}
        )
        assert short.status_code == long.status_code == status
        assert short.text == long.text
    assert not any(begun)


async def test_two_keys_in_one_request_are_none(required: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "admin")
    line = f"authorization: Bearer {key.text}".encode()
    for _ in range(2):
        assert (await required.get("/tasks", headers=shown(key))).status_code == 200
        raw = await raw_request(required.url, a_post("a", line, line) + LAST)
        [(status, problem), _] = parsed_responses(raw)
        assert (status, problem["type"]) == (401, "/problems/not-authenticated")


async def test_where_none_is_required_keys_are_ignored(api: Served) -> None:
    response = await api.post("/tasks", {"name": "a"}, headers={"authorization": "Bearer nonsense"})
    assert response.status_code == 201


async def test_a_preflight_request_needs_no_key(stage: Stage) -> None:
    origin = "http://localhost:5173"
    settings = Settings(limits=LIMITS, auth="required", api={"allowed_origins": [origin]})
    key = await a_new_key(stage.database, "metrics")
    async with serving(stage.service, settings) as served:
        asked = {"origin": origin, "access-control-request-method": "GET"}
        preflight = await served.http.options("/tasks", headers=asked)
        assert preflight.status_code == 200
        for header in ({}, shown(key)):
            refused = await served.get("/tasks", headers={"origin": origin, **header})
            assert refused.status_code in {401, 403}
            assert refused.headers["access-control-allow-origin"] == origin


async def test_an_idempotency_key_is_of_the_api_keys_name(required: Served, stage: Stage) -> None:
    mine = await a_new_key(stage.database, "tasks:create", name="mine")
    theirs = await a_new_key(stage.database, "tasks:create", name="theirs")

    async def create(key: NewApiKey) -> tuple[int, str]:
        headers = {**shown(key), "idempotency-key": "order-17"}
        response = await required.post("/tasks", {"name": "a"}, headers=headers)
        return response.status_code, response.json()["id"]

    made = await create(mine)
    assert made[0] == 201
    assert await create(mine) == (200, made[1])
    other = await create(theirs)
    assert other[0] == 201
    assert other[1] != made[1]
    rotated = await api_keys.rotate(
        stage.owner_database, "mine", environment="test", overlap=timedelta(hours=1)
    )
    assert await create(rotated) == (200, made[1])
    assert await create(rotated) == (200, made[1])
    scopes = await stage.sql.fetch("SELECT scope FROM taskmill.idempotency ORDER BY scope")
    assert [row["scope"] for row in scopes] == ["api_key:mine", "api_key:theirs"]


async def test_a_batch_has_the_idempotency_keys_of_its_api_key(
    required: Served, stage: Stage
) -> None:
    mine, theirs = [await a_new_key(stage.database, "tasks:create") for _ in range(2)]
    tasks = [{"name": "a", "idempotency_key": "1"}, {"name": "b", "idempotency_key": "2"}]
    lines = b"\n".join(map(orjson.dumps, tasks))
    ndjson = {"content-type": "application/x-ndjson"}
    first = await required.post("/tasks/batch", tasks, headers=shown(mine))
    again = await required.post("/tasks/batch", lines, headers={**shown(mine), **ndjson})
    assert [orjson.loads(line)["id"] for line in again.text.splitlines()] == first.json()["ids"]
    other = await required.post("/tasks/batch", tasks, headers=shown(theirs))
    assert not set(other.json()["ids"]) & set(first.json()["ids"])


@pytest.mark.slow
@pytest.mark.usefixtures("numbered")
async def test_a_stream_ends_when_its_key_is_revoked(
    required: Served, stage: Stage, log_lines: LogLines
) -> None:
    key = await a_new_key(stage.database, "tasks:read")
    verifier = required.app._context.keys
    assert verifier is not None
    async with required.http.stream("GET", "/events", headers=shown(key)) as response:
        assert response.status_code == 200
        parts = response.aiter_bytes()
        assert (await anext(parts)).startswith(b": ok")
        await revoke(stage.owner_database, key.key.id)
        verifier.forget()
        await stage.created(name="secret")
        received = b""
        with suppress(httpx.RemoteProtocolError):
            async with asyncio.timeout(40):
                async for part in parts:
                    received += part
                pytest.fail("it ended as if it was complete")
        assert b"secret" not in received
    assert log_lines.warnings() == []


async def test_no_secret_is_ever_logged_or_shown(
    required: Served, stage: Stage, log_lines: LogLines
) -> None:
    valid = await a_new_key(stage.database, "admin")
    elsewhere = await a_new_key(stage.database, "metrics", networks=("192.0.2.0/24",))
    ended = await a_new_key(stage.database, "admin")
    await revoke(stage.owner_database, ended.key.id)
    seen = repr((valid, elsewhere, ended, required.app._context))
    for made in (valid, elsewhere, ended):
        for authorization in (f"Bearer {made.text}", made.text, f"Bearer {made.text}x"):
            for method, path in (("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/nowhere")):
                headers = {"authorization": authorization}
                response = await required.http.request(method, path, headers=headers)
                seen += f"{response.headers}{response.text}"
    served = log_lines.named("request.served")
    assert len(served) == 27
    assert {line.get("api_key") for line in served} == {None, valid.key.id}
    for made in (valid, elsewhere, ended):
        parsed = parse_key(made.text)
        assert parsed is not None
        assert parsed.secret not in seen
        assert parsed.secret not in log_lines.text()


@pytest.mark.parametrize("settings", [REQUIRED, SETTINGS], ids=["required", "off"])
async def test_a_key_in_an_address_does_not_reach_the_log(
    stage: Stage, log_lines: LogLines, settings: Settings
) -> None:
    made = await a_new_key(stage.database, "admin")
    parsed = parse_key(made.text)
    assert parsed is not None
    async with serving(stage.service, settings) as served:
        for path in (
            "/{}",
            "/tasks/{}",
            "/tasks/{}/cancel",
            "/tasks?key={}",
            "/ui/{}",
            "/a%20b/{}",
        ):
            for method in ("GET", "POST"):
                for headers in ({}, shown(made), {"x-request-id": made.text}):
                    await served.http.request(method, path.format(made.text), headers=headers)
    lines = log_lines.named("request.served")
    assert len(lines) == 36
    assert len([line for line in lines if f"{parsed.id}_***" in line["path"]]) == 30
    assert parsed.secret not in log_lines.text()
    assert made.text[-6:] not in log_lines.text()
