"""Many tasks in one request: arrays and lines."""

import asyncio
import gc

import httpx
import orjson
import pytest

from taskmill.api.routers.batches import _on_loop, _store
from taskmill.domain.errors import Unavailable
from taskmill.wire.batches import line_drafts, parse_batch
from tests.support.api import LIMITS, LogLines, Served, raw_request
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

NDJSON = {"content-type": "application/x-ndjson"}


def lines_of(response: httpx.Response) -> list[dict[str, object]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.content.splitlines()]


async def test_an_array_is_stored_completely_and_its_ids_come_in_order(
    api: Served, stage: Stage
) -> None:
    tasks = [{"name": f"task {n}"} for n in range(50)]
    response = await api.post("/tasks/batch", tasks)
    assert response.status_code == 201
    ids = response.json()["ids"]
    read = [(await api.get(f"/tasks/{task_id}")).json()["name"] for task_id in ids]
    assert read == [task["name"] for task in tasks]
    await assert_safe(stage.sql)


async def test_one_bad_task_or_key_refuses_the_whole_array(api: Served, stage: Stage) -> None:
    bad = await api.post("/tasks/batch", [{"name": "a"}, {"name": ""}, {"nam": "b"}])
    pointers = [error["pointer"] for error in bad.json()["errors"]]
    assert (bad.status_code, pointers[0], pointers[1]) == (422, "/1/name", "/2/name")
    await api.create(name="first", idempotency_key="k")
    taken = await api.post("/tasks/batch", [{"name": "a"}, {"name": "b", "idempotency_key": "k"}])
    assert (taken.status_code, taken.json()["type"]) == (422, "/problems/idempotency-conflict")
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1


async def test_an_array_sent_again_with_its_keys_gives_the_same_ids(api: Served) -> None:
    tasks = [{"name": f"task {n}", "idempotency_key": f"k{n}"} for n in range(5)]
    first, again = await api.post("/tasks/batch", tasks), await api.post("/tasks/batch", tasks)
    assert first.json() == again.json()


async def test_an_invalid_batch_is_refused(api: Served) -> None:
    for body, status in (
        (b"[]", 422),
        (b"{}", 422),
        (b"", 400),
        (b"[1,", 400),
        (orjson.dumps([{"name": "a"}] * (LIMITS.batch_items + 1)), 422),
        (b" " * (LIMITS.batch_bytes + 1), 413),
    ):
        assert (await api.post("/tasks/batch", body)).status_code == status, body[:20]
    one_for_all = await api.post("/tasks/batch", [{"name": "a"}], headers={"idempotency-key": "k"})
    assert one_for_all.json()["errors"][0]["pointer"] == "header:Idempotency-Key"


async def test_each_line_is_stored_or_refused_by_itself(api: Served, stage: Stage) -> None:
    await api.create(name="first", idempotency_key="used")
    body = b"\n".join(
        (
            b'{"name":"a"}',
            b"",
            b"not json",
            b'{"name":"b","priority":11}',
            b'{"name":"other","idempotency_key":"used"}',
            b'{"name":"first","idempotency_key":"used"}',
            b'{"name":"' + b"x" * LIMITS.body_bytes + b'"}',
            b'{"name":"c"}\r',
        )
    )
    results = lines_of(await api.post("/tasks/batch", body, headers=NDJSON))
    assert [(line["line"], line["status"]) for line in results] == [
        (1, 201),
        (3, 400),
        (4, 422),
        (5, 422),
        (6, 200),
        (7, 413),
        (8, 201),
    ]
    assert (await api.get(f"/tasks/{results[0]['id']}")).json()["name"] == "a"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 3
    await assert_safe(stage.sql)


async def test_more_lines_than_a_chunk_all_get_results_in_order(api: Served, stage: Stage) -> None:
    body = b'{"name":"a"}\n' * 2500
    results = lines_of(await api.post("/tasks/batch", body, headers=NDJSON))
    assert [line["line"] for line in results] == list(range(1, 2501))
    assert {line["status"] for line in results} == {201}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 2500


async def test_a_batch_without_lines_is_refused(api: Served) -> None:
    for body in (b"", b"\n \n"):
        assert (await api.post("/tasks/batch", body, headers=NDJSON)).status_code == 422


async def test_a_batch_is_not_a_task(api: Served) -> None:
    response = await api.get("/tasks/batch")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_thousands_of_refused_lines_do_not_block_the_loop(api: Served) -> None:
    lines = parse_batch(NDJSON["content-type"], b"x\n" * 5000)
    assert not isinstance(lines, list)
    iterations = 0

    def count() -> None:
        nonlocal iterations
        iterations += 1
        asyncio.get_running_loop().call_soon(count)

    count()
    context = api.app._context
    chunks = line_drafts(lines, source="rest", chunk=50)
    results = [part async for part in _store(context, next(chunks), _on_loop(chunks))]
    assert len(results) == 100
    assert iterations >= len(results)


async def test_a_failure_after_the_client_has_left_is_no_unretrieved_error(
    api: Served, stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.create()
    unretrieved: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unretrieved.append(context))
    begun, may_fail, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fails_later(_: object) -> list[None]:
        begun.set()
        await may_fail.wait()
        failed.set()
        raise Unavailable(1, "the database")

    monkeypatch.setattr(stage.service.creation._batch, "_flush_items", fails_later)
    body = b'{"name":"a"}\n' * 600
    head = "POST /tasks/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    with pytest.raises(TimeoutError):
        await raw_request(api.url, request, timeout_s=0.3)
    await begun.wait()

    async def is_over() -> bool:
        return len(log_lines.named("request.served")) > 1

    await eventually(is_over, "it is noticed that the client has left")
    may_fail.set()
    await failed.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    assert unretrieved == []


async def test_a_fault_is_logged_once_for_all_lines_that_it_hit(
    api: Served, stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.create()

    async def broken(_: object) -> list[None]:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(stage.service.creation._batch, "_flush_items", broken)
    response = await api.post("/tasks/batch", b'{"name":"a"}\n' * 600, headers=NDJSON)
    results = lines_of(response)
    assert [line["line"] for line in results] == [*range(1, 601)]
    assert {line["status"] for line in results} == {500}
    assert "secret" not in response.text
    failures = log_lines.named("line.failed")
    assert failures[0]["line"] == 1
    assert len(failures) < 10


async def test_both_forms_warn_of_callbacks_that_are_never_called(api: Served) -> None:
    urls = (
        None,
        "http://127.0.0.1:9000/a",
        "http://127.0.0.1:9000/b",
        "http://[::1]/",
        "https://example.org/",
    )
    tasks = [{"name": "x", **({"callback_url": url} if url else {})} for url in urls]
    array = (await api.post("/tasks/batch", tasks)).json()
    assert [(one["index"], one["warning"].split()[0]) for one in array["warnings"]] == [
        (1, "127.0.0.1"),
        (3, "::1"),
    ]
    single = (await api.create(callback_url=urls[1]))["warning"]
    assert array["warnings"][0]["warning"] == single
    body = b"\n".join(map(orjson.dumps, tasks))
    response = await api.post(
        "/tasks/batch", body, headers={"content-type": "application/x-ndjson"}
    )
    lines = [orjson.loads(line) for line in response.content.splitlines()]
    assert [line.get("warning", "none").split()[0] for line in lines] == [
        "none",
        "127.0.0.1",
        "127.0.0.1",
        "::1",
        "none",
    ]
    assert "warnings" not in (await api.post("/tasks/batch", [{"name": "x"}])).json()
