"""Lists of large things: pages end by their bytes, and the next pages have everything else."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from taskmill.domain.parts import PAGE_BYTES
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.settings import LimitSettings, Settings
from taskmill.storage import task_log
from tests.support.api import Served, serving
from tests.support.log_lines import a_line
from tests.support.stage import Stage

MIB = 1024**2
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server with the limits that it has by default, but for the time: a busy machine takes longer."""
    async with serving(
        stage.service, Settings(limits=LimitSettings(request_timeout_s=60))
    ) as served:
        yield served


async def create_large(api: Served, count: int, text: str) -> list[str]:
    """Create tasks with payloads of nearly 1 MiB, and return their ids."""
    payload = {"delay_s": 0, "result": (text * MIB)[: MIB - 200]}
    line = orjson.dumps({"name": "large", "payload": payload, "labels": {"a": "b"}})
    response = await api.post("/tasks/batch", b"\n".join([line] * count), headers=LINES)
    return sorted(orjson.loads(line)["id"] for line in response.content.splitlines())


@pytest.mark.parametrize("text", ["a", "0123456789abcdef"], ids=["packed", "packed less"])
@pytest.mark.parametrize(
    "query",
    ["order=desc", "order=asc&status=new", "order=desc&label=a%3Db&queue=default"],
)
async def test_a_page_of_large_tasks_ends_by_its_bytes(api: Served, text: str, query: str) -> None:
    created = await create_large(api, 20, text)
    seen: list[str] = []
    sizes: list[int] = []
    path = f"/tasks?limit=500&{query}"
    while path:
        page = await api.get(path)
        assert page.json()["total"] == 20
        seen += [task["id"] for task in page.json()["items"]]
        sizes.append(len(page.content))
        path = page.links["next"]["url"] if "next" in page.links else ""
        assert bool(path) == (page.json()["next_cursor"] is not None)
    assert seen == (created if "asc" in query else created[::-1])
    # Without that one page has all 20.
    assert max(sizes) < PAGE_BYTES + MIB + 16_384
    assert len(sizes) == 3


async def test_uncompressed_values_and_other_columns_count_too(stage: Stage) -> None:
    for _ in range(4):
        await stage.created()
    await stage.sql.execute("SET session_replication_role = replica")  # no guard of transitions
    noise = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32768) AS n)"
    for column in ("payload", "result", "error", "labels"):
        await stage.sql.execute(f"UPDATE taskmill.task SET {column} = to_json({noise})")  # noqa: S608 - a test
        page = await stage.service.page(TaskFilter(), PageRequest(most_bytes=MIB * 3 // 2))
        assert len(page.items) == 2, column
        assert page.next_after == page.items[-1].id
        await stage.sql.execute(f"UPDATE taskmill.task SET {column} = '{{}}'")  # noqa: S608 - a test


async def test_a_page_has_one_task_however_large_it_is(stage: Stage) -> None:
    made = [await stage.created(description="x" * 10_000) for _ in range(3)]
    request, found = PageRequest(limit=2, most_bytes=1), []
    while True:
        page = await stage.service.page(TaskFilter(), request)
        found += [task.id for task in page.items]
        assert len(page.items) == 1
        assert page.total == 3
        if page.next_after is None:
            break
        request = PageRequest(limit=2, most_bytes=1, after=page.next_after)
    assert found == [task.id for task in reversed(made)]


async def test_payloads_do_not_count_where_they_are_left_out(stage: Stage) -> None:
    for _ in range(3):
        await stage.created(payload='{"a": "' + "x" * 100_000 + '"}')
    request = PageRequest(most_bytes=50_000, is_brief=True)
    assert len((await stage.service.page(TaskFilter(), request)).items) == 3


async def parts(api: Served, path: str, **query: str) -> list[list[Any]]:
    """Read a list part by part, to its end."""
    found: list[list[Any]] = []
    while True:
        page = (await api.get(path, params=query)).json()
        found.append(page["items"])
        if not page.get("has_more", page["next_cursor"] is not None):
            return found
        query = {**query, "cursor": page["next_cursor"]}


def small_parts(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Have parts end with the entry that brings them to 50,000 bytes."""
    monkeypatch.setattr(f"taskmill.storage.{module}.PAGE_BYTES", 50_000)


async def test_a_history_of_many_long_errors_comes_in_parts(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await api.create(max_attempts=1000)
    await stage.sql.execute(
        """
        INSERT INTO taskmill.task_event
            (task_id, version, event, status, run, attempt, losses, claim_no, run_at, error)
        SELECT
            $1, n + 1, 'retry_scheduled', 'new', 1, n, 0, n, now(),
            jsonb_build_object('type', 'E', 'message', repeat('x', 10000))
        FROM generate_series(1, 1200) AS n
        """,
        task["id"],
    )
    path = f"/tasks/{task['id']}/events"
    sizes = [len(part) for part in await parts(api, path)]
    assert sizes == [838, 363]  # 8 MiB, with the first one, which has no error
    small_parts(monkeypatch, "events")
    found = await parts(api, path)
    assert [event["version"] for part in found for event in part] == list(range(1, 1202))
    assert {len(part) for part in found[1:-1]} == {5}
    other = await api.create()
    cursor = (await api.get(path)).json()["next_cursor"]
    refused = await api.get(f"/tasks/{other['id']}/events", params={"cursor": cursor})
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-cursor")


async def test_long_lines_of_a_log_come_in_parts(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await stage.running(await stage.open_lease())
    lines = [a_line(taken, stage, seq)._replace(message="x" * 20_000) for seq in range(1, 8)]
    lines[-1] = lines[-1]._replace(message="x", fields='{"a": "' + "x" * 60_000 + '"}')
    await task_log.store(stage.database, lines)
    path = f"/tasks/{taken.task.id}/logs"
    assert [len(part) for part in await parts(api, path)] == [7]
    assert [len(part) for part in await parts(api, path, limit="4")] == [4, 3]
    small_parts(monkeypatch, "task_log")
    found = await parts(api, path)
    assert [[line["seq"] for line in part] for part in found] == [[1, 2, 3], [4, 5, 6], [7]]


async def test_refused_messages_with_long_headers_come_in_parts(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.sql.execute(
        """
        INSERT INTO taskmill.rejection (id, source, body, body_hash, headers, status, problem)
        SELECT gen_random_uuid(), 'amqp', '', sha256(n::text::bytea),
            json_build_object('headers', json_build_object('a', repeat('x', 20000))), 422,
            '{"type": "about:blank", "title": "t", "status": 422, "detail": "d"}'
        FROM generate_series(1, 7) AS n
        """
    )
    assert [len(part) for part in await parts(api, "/rejections")] == [7]
    small_parts(monkeypatch, "rejections")
    found = await parts(api, "/rejections")
    ids = [message["id"] for part in found for message in part]
    assert [len(part) for part in found] == [3, 3, 1]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 7


async def test_the_legacy_list_has_as_many_tasks_as_requested(api: Served) -> None:
    line = orjson.dumps({"name": "large", "description": "😀" * 10_000})
    await api.post("/tasks/batch", b"\n".join([line] * 220), headers=LINES)
    assert len((await api.get("/tasks?limit=500")).json()["items"]) < 220
    response = await api.get("/task_service/api/v1/task/?limit=500")
    assert len(response.json()["objects"]) == 220
