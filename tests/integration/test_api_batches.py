"""Many tasks in one request: arrays and lines."""

import httpx
import orjson

from tests.support.api import LIMITS, Served
from tests.support.safety import assert_safe
from tests.support.stage import Stage

NDJSON = {"content-type": "application/x-ndjson"}


def lines_of(answer: httpx.Response) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def test_an_array_is_stored_whole_and_answered_with_ids_in_its_order(
    api: Served, stage: Stage
) -> None:
    tasks = [{"name": f"task {n}"} for n in range(50)]
    answer = await api.post("/tasks/batch", tasks)
    assert answer.status_code == 201
    ids = answer.json()["ids"]
    read = [(await api.get(f"/tasks/{task_id}")).json()["name"] for task_id in ids]
    assert read == [task["name"] for task in tasks]
    await assert_safe(stage.sql)


async def test_one_bad_task_or_key_keeps_the_whole_array_out(api: Served, stage: Stage) -> None:
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


async def test_what_is_no_batch_is_refused(api: Served) -> None:
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


async def test_lines_stand_for_themselves(api: Served, stage: Stage) -> None:
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
    answered = lines_of(await api.post("/tasks/batch", body, headers=NDJSON))
    assert [(line["line"], line["status"]) for line in answered] == [
        (1, 201),
        (3, 400),
        (4, 422),
        (5, 422),
        (6, 200),
        (7, 413),
        (8, 201),
    ]
    assert (await api.get(f"/tasks/{answered[0]['id']}")).json()["name"] == "a"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 3
    await assert_safe(stage.sql)


async def test_more_lines_than_a_chunk_are_all_answered_in_order(api: Served, stage: Stage) -> None:
    body = b'{"name":"a"}\n' * 2500
    answered = lines_of(await api.post("/tasks/batch", body, headers=NDJSON))
    assert [line["line"] for line in answered] == list(range(1, 2501))
    assert {line["status"] for line in answered} == {201}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 2500


async def test_no_lines_are_no_batch(api: Served) -> None:
    for body in (b"", b"\n \n"):
        assert (await api.post("/tasks/batch", body, headers=NDJSON)).status_code == 422


async def test_a_batch_is_not_a_task(api: Served) -> None:
    answer = await api.get("/tasks/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
