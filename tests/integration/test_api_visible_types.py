"""Types for keys whose grant is limited: contracts of the types and the default queues that it names."""

from collections.abc import AsyncIterator

import orjson
import pytest

from taskmill.storage import leases
from taskmill.storage.leases import WorkerProfile
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.raw_requests import LONG_WAY
from tests.support.stage import Stage

QUEUES = {"send": "mail", "send-late": "mail", "charge": "billing", "plain": None}


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys, and has contracts of some types."""
    async with serving(stage.service, REQUIRED) as served:
        admin = shown(await a_new_key(stage.database, "admin"))
        for name, queue in QUEUES.items():
            await register(served, admin, name, queue, status=200)
        yield served


async def register(
    served: Served, key: dict[str, str], name: str, queue: str | None, *, status: int
) -> str:
    body = {"payload_schema": {"title": f"of {name} in {queue}"}, "defaults": {}}
    if queue is not None:
        body["defaults"]["queue"] = queue
    response = await served.http.put(f"/types/{name}", json=body, headers=key)
    assert response.status_code == status, response.text
    return response.text


async def a_worker(stage: Stage, *queues: str) -> None:
    profile = WorkerProfile(name="w", queues=queues, types=("*",), slots=1)
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, stage.ids(), profile, ttl_s=600)


@pytest.mark.parametrize(
    ("grant", "names"),
    [
        ("types", {"send", "send-late", "charge", "plain"}),
        ("types queue=mail", {"send", "send-late"}),
        ("types queue=default", {"plain"}),
        ("types type=send*,plain", {"send", "send-late", "plain"}),
        ("types queue=mail,billing type=send,charge,plain", {"send", "charge"}),
        ("types queue=other", set()),
    ],
)
async def test_contracts_are_seen_by_their_type_and_default_queue(
    required: Served, stage: Stage, grant: str, names: set[str]
) -> None:
    key = shown(await a_new_key(stage.database, grant))
    listed = (await required.get("/types", headers=key)).json()["items"]
    assert {one["name"] for one in listed} == names
    unknown = await required.get("/types/nowhere", headers=key)
    for name in QUEUES:
        response = await required.get(f"/types/{name}", headers=key)
        if name in names:
            assert response.json()["name"] == name
        else:
            assert response.status_code == unknown.status_code == 404
            assert response.text.replace(name, "nowhere") == unknown.text


@pytest.mark.parametrize(
    ("grant", "may_change"),
    [("types queue=mail", False), ("types type=charge", False), ("types type=send*", True)],
)
async def test_a_contract_counts_in_all_queues_so_it_is_changed_by_who_has_all(
    required: Served, stage: Stage, grant: str, *, may_change: bool
) -> None:
    key = shown(await a_new_key(stage.database, grant))
    text = await register(required, key, "send", "mail", status=200 if may_change else 403)
    assert may_change or "does not grant types for all queues and type 'send'" in text
    dropped = await required.http.delete("/types/send", headers=key)
    assert dropped.status_code == (204 if may_change else 403)


async def test_versions_with_another_default_queue_are_not_shown(
    required: Served, stage: Stage
) -> None:
    admin = shown(await a_new_key(stage.database, "admin"))
    await register(required, admin, "charge", "mail", status=200)
    key = shown(await a_new_key(stage.database, "types queue=mail"))
    response = await required.get("/types/charge", headers=key)
    assert [one["version"] for one in response.json()["versions"]] == [2]
    assert "billing" not in response.text


async def test_workers_count_that_serve_a_queue_of_the_key(required: Served, stage: Stage) -> None:
    await stage.created(queue="mail")
    await stage.created(queue="secret")
    for queues in (("mail",), ("mail", "secret"), ("secret",), ()):
        await a_worker(stage, *queues)
    for grant, count in (("types queue=mail", 3), ("types type=send", 4), ("types", 4)):
        key = shown(await a_new_key(stage.database, grant))
        found = (await required.get("/types/send", headers=key)).json()
        assert found["workers"] == count, grant


@pytest.mark.parametrize("is_long_way", [False, True])
async def test_a_contract_is_not_shown_to_who_may_create_no_task_of_its_type(
    required: Served, stage: Stage, *, is_long_way: bool
) -> None:
    admin = shown(await a_new_key(stage.database, "admin"))
    schema = {"type": "object", "required": ["canary"]}
    for name in ("own", "foreign"):
        body = {"payload_schema": schema, "defaults": {"queue": "mail"}}
        await required.http.put(f"/types/{name}", json=body, headers=admin)
    key = shown(await a_new_key(stage.database, "tasks:create queue=mail type=own"))
    headers = key | (LONG_WAY if is_long_way else {})
    lines = headers | {"content-type": "application/x-ndjson"}
    for kind, status in (("own", 422), ("foreign", 403)):
        task = {"name": "a", "type": kind, "queue": "mail", "payload": {}}
        one = await required.post("/tasks", task, headers=headers)
        array = await required.post("/tasks/batch", [task], headers=headers)
        line = await required.post("/tasks/batch", orjson.dumps(task) + b"\n", headers=lines)
        assert (one.status_code, array.status_code) == (status, status)
        assert f'"status":{status}' in line.text
        for response in (one, array, line):
            assert ("canary" in response.text) == (kind == "own"), response.text
