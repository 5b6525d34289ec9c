"""A fault of ours that one request meets is answered to that one: others that share its statement are served."""

import asyncio

import orjson

from tests.support.api import LogLines, Served
from tests.support.stage import Stage

# A fault that PostgreSQL meets again whenever a row has this name, and that blames no value.
BREAKS = """
CREATE FUNCTION public.break() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000'; END $$;
CREATE TRIGGER break BEFORE INSERT ON taskmill.task
FOR EACH ROW WHEN (NEW.name = 'poison') EXECUTE FUNCTION public.break()
"""
NAMES = [f"task {number}" for number in range(20)]
NAMES[7] = "poison"


async def test_only_the_task_that_can_not_be_stored_fails(
    api: Served, stage: Stage, log_lines: LogLines
) -> None:
    await api.create()  # the queue and the type are known: all go in one batch
    await stage.sql.execute(BREAKS)
    responses = await asyncio.gather(*(api.post("/tasks", {"name": name}) for name in NAMES))  # noqa: TID251 - a test
    assert [response.status_code for response in responses] == [
        500 if name == "poison" else 201 for name in NAMES
    ]
    body = b"\n".join(orjson.dumps({"name": name}) for name in NAMES)
    response = await api.post(
        "/tasks/batch", body, headers={"content-type": "application/x-ndjson"}
    )
    lines = [orjson.loads(line) for line in response.content.splitlines()]
    assert [line["status"] for line in lines] == [
        500 if name == "poison" else 201 for name in NAMES
    ]
    [logged] = log_lines.named("line.failed")
    assert logged["line"] == 8


async def test_only_the_task_that_can_not_be_read_fails(api: Served, stage: Stage) -> None:
    ids = [(await api.create())["id"] for _ in range(20)]
    await stage.sql.execute("SET session_replication_role = replica")  # no guard of transitions
    # No time that Python knows.
    broken = "UPDATE taskmill.task SET timeout_s = 1e300 WHERE id = $1"
    await stage.sql.execute(broken, ids[7])
    responses = await asyncio.gather(*(api.get(f"/tasks/{one}") for one in ids))  # noqa: TID251 - a test
    assert [response.status_code for response in responses] == [
        500 if place == 7 else 200 for place in range(20)
    ]
