"""Kinds of failures over HTTP, and by the command."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from taskmill.domain.error_kinds import kind_id
from taskmill.domain.failures import KindOrder
from taskmill.storage import failures
from taskmill.wire.failures import FailureKindDetails, FailureKindList
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.commands import Taskmill, taskmill
from tests.support.failing import fail
from tests.support.stage import Stage

__all__ = ["taskmill"]


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def listed(api: Served, **parameters: object) -> FailureKindList:
    response = await api.get("/failures", params={name: str(v) for name, v in parameters.items()})
    assert response.status_code == 200, response.text
    return FailureKindList.model_validate_json(response.content)


async def test_kinds_are_listed_with_types_numbers_and_times(api: Served, stage: Stage) -> None:
    for type_ in ("pay", "send"):
        await fail(stage, "no route", type=type_, place="shop.call")
    last = await fail(stage, "no route", type="send", place="shop.call")
    await failures.fold(stage.maintenance_database)
    found = await listed(api)
    [one] = found.items
    assert (one.kind, one.message, one.tasks, one.task_id) == (
        "E in shop.call",
        "no route",
        3,
        last,
    )
    assert sorted(one.types) == ["pay", "send"]
    assert (one.state, one.state_at, one.state_by) == ("open", None, None)
    assert one.first_at < one.last_at
    assert sum(point.tasks for point in one.trend) == 3
    assert (found.counts.open, found.counts.ignored, found.tasks, found.other_tasks) == (1, 0, 3, 0)
    assert found.next_cursor is None


@pytest.mark.parametrize("order", KindOrder)
async def test_a_list_goes_page_by_page_with_its_filter(
    api: Served, stage: Stage, order: KindOrder
) -> None:
    for word in ("one", "two", "two", "three", "four", "five"):
        await fail(stage, word, queue="mail")
    await fail(stage, "other")
    seen: list[str] = []
    more: dict[str, object] = {}
    while True:
        page = await listed(api, queue="mail", order=order, limit=2, **more)
        seen += [one.kind for one in page.items]
        if page.next_cursor is None:
            break
        more = {"cursor": page.next_cursor}
    assert sorted(seen) == ["E: five", "E: four", "E: one", "E: three", "E: two"]
    other = await api.get(
        "/failures", params={"limit": 2, "order": "newest", "cursor": page_cursor(more)}
    )
    assert other.status_code == 400
    assert other.json()["errors"][0]["pointer"] == "query:cursor"


def page_cursor(more: dict[str, object]) -> str:
    return str(more["cursor"])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("window=5m", "query:window"),
        ("order=best", "query:order"),
        ("state=gone", "query:state"),
        ("label=team", "query:label"),
        ("queue=A", "query:queue"),
        ("text=", "query:text"),
        ("cursor=nonsense", "query:cursor"),
        ("limit=0", "query:limit"),
        ("error=x", "query:error"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Served, query: str, pointer: str) -> None:
    response = await api.get(f"/failures?{query}")
    assert response.status_code in {400, 422}
    assert response.json()["errors"][0]["pointer"] == pointer


async def test_what_fails_in_other_queues_changes_nothing_that_a_key_for_some_sees(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.owner_database, "tasks:read queue=mail", "tasks:operate queue=mail")
    await fail(stage, "first of mail", queue="mail", place="shop.call")
    await failures.fold(stage.maintenance_database)
    paths = (
        "/failures",
        "/failures?queue=secret",
        "/failures?text=secret",
        "/failures?order=newest",
    )
    before = [(await required.get(path, headers=shown(key))).json() for path in paths]
    assert before[0]["tasks"] == 1
    assert before[0]["items"][0]["message"] is None
    for message in ("secret", "another secret"):
        await fail(stage, message, queue="secret", place="shop.call")
        await fail(stage, message, queue="secret")
    await failures.fold(stage.maintenance_database)
    assert [(await required.get(path, headers=shown(key))).json() for path in paths] == before


async def test_a_kind_is_read_and_decided_on(api: Served, stage: Stage) -> None:
    for queue, type_ in (("mail", "pay"), ("mail", "send"), ("news", "pay")):
        await fail(stage, queue=queue, type=type_, place="shop.call")
    path = f"/failures/{kind_id('E in shop.call')}"
    found = FailureKindDetails.model_validate_json((await api.get(path)).content)
    assert (found.tasks, found.state, sorted(found.types)) == (3, "open", ["pay", "send"])
    assert [(one.name, one.tasks) for one in found.queue_counts] == [("mail", 2), ("news", 1)]
    assert [(one.name, one.tasks) for one in found.type_counts] == [("pay", 2), ("send", 1)]
    for decision, state in (("resolve", "resolved"), ("ignore", "ignored"), ("reopen", "open")):
        response = await api.post(f"{path}/{decision}")
        assert response.status_code == 200
        assert FailureKindDetails.model_validate_json(response.content).state == state
    assert (await api.get(f"{path}?window=5m")).status_code == 422


async def test_an_unknown_kind_is_not_found(api: Served) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", "/resolve"),
        ("POST", "/ignore"),
        ("POST", "/reopen"),
    ):
        response = await api.http.request(method, f"/failures/0123456789abcdef{path}")
        assert response.json()["type"] == "/problems/failure-kind-not-found"
        wrong = await api.http.request(method, f"/failures/nonsense{path}")
        assert wrong.json()["errors"][0]["pointer"] == "path:id"


async def test_who_may_not_operate_all_queues_decides_nothing(
    required: Served, stage: Stage
) -> None:
    await fail(stage, queue="mail", place="shop.call")
    path = f"/failures/{kind_id('E in shop.call')}"
    for grants, status in (
        (("tasks:read queue=mail", "tasks:operate queue=mail"), 403),
        (("tasks:read",), 403),
        (("tasks:read", "tasks:operate"), 200),
    ):
        key = await a_new_key(stage.owner_database, *grants)
        assert (await required.get(path, headers=shown(key))).status_code == 200
        response = await required.post(f"{path}/resolve", headers=shown(key))
        assert response.status_code == status, grants
    other = await a_new_key(stage.owner_database, "tasks:read queue=news")
    assert (await required.get(path, headers=shown(other))).status_code == 404


async def test_a_place_and_a_fingerprint_of_a_worker_in_any_language_name_the_kind(
    api: Served,
) -> None:
    for error, kind in (
        (
            {"type": "Declined", "message": "card 1", "place": "pay.charge"},
            "Declined in pay.charge",
        ),
        ({"type": "Declined", "fingerprint": "declined"}, "declined"),
    ):
        task = await api.create(type="pay", queue="mail")
        lease = (await api.post("/leases", {"worker": "w", "types": ["pay"], "wait_s": 5})).json()
        claim = {"lease_id": lease["lease_id"], "claim_no": lease["tasks"][0]["claim_no"]}
        ended = await api.post(f"/tasks/{task['id']}/fail", {**claim, "error": error})
        assert ended.status_code == 200, ended.text
        shown_error = (await api.get(f"/tasks/{task['id']}")).json()["error"]
        assert {**shown_error, **error} == shown_error
        assert kind in [one.kind for one in (await listed(api)).items]


async def test_a_fingerprint_that_stands_for_all_others_is_refused(api: Served) -> None:
    nothing = "01970000-0000-7000-8000-000000000000"
    end = {"lease_id": nothing, "claim_no": 1, "error": {"fingerprint": "*"}}
    refused = await api.post(f"/tasks/{nothing}/fail", end)
    assert refused.json()["errors"][0]["pointer"] == "/error/fingerprint"


async def lines_of(taskmill: Taskmill, *words: str) -> list[str]:
    """Run a command about failures; return what it prints, without the log of the service."""
    status, out, err = await asyncio.to_thread(taskmill, "failure", *words)
    assert status == 0, err
    return [line for line in (out + err).splitlines() if "module=taskmill" not in line]


async def test_the_commands_show_and_decide(api: Served, stage: Stage, taskmill: Taskmill) -> None:
    await fail(stage, "no route", place="shop.call", queue="mail")
    kind = kind_id("E in shop.call")

    async def printed(*words: str) -> str:
        return "\n".join(await lines_of(taskmill, *words, "--url", api.url))

    assert "mail 1" in await printed("show", kind)
    for decision, state in (("resolve", "resolved"), ("ignore", "ignored"), ("reopen", "open")):
        assert await printed(decision, kind) == f"{kind}  {state}  E in shop.call"


async def test_the_command_lists_kinds(api: Served, stage: Stage, taskmill: Taskmill) -> None:
    for type_ in ("a", "b", "c", "d"):
        await fail(stage, "no route", type=type_)
    await fail(stage, "other", queue="mail")

    async def printed(*options: str) -> list[str]:
        return await lines_of(taskmill, "list", "--url", api.url, *options)

    heading, first, *_ = await printed()
    assert heading.split() == ["ID", "TASKS", "KIND", "TYPES", "STATE", "FIRST", "LAST"]
    assert "a, b, c and 1 more" in first
    lines = await printed("--queue", "mail", "--json")
    assert [orjson.loads(line)["kind"] for line in lines] == ["E: other"]
    assert "nothing has failed so" in await printed("--text", "nowhere")
