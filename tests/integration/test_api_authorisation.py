"""Where API keys are required: every route, with every scope and every state of a key."""

import re
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from taskmill.api.access_rules import RULES, Check, Rule
from taskmill.domain.api_keys import format_key
from taskmill.domain.grants import Scope
from taskmill.operations.api_keys import NewApiKey
from taskmill.storage.api_keys import revoke
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.stage import Stage

_IDS = {
    "{id}": "01a2104d-0554-7000-aa31-7e1796e3ff04",
    "{uid}": "01a2104d-0554-7000-aa31-7e1796e3ff04",
}
# Whatever a request would do, this keeps it from doing.
_NONSENSE = "?no=such"


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


def address_of(path: str) -> str:
    """A route's address with something for each parameter."""
    return re.sub(r"\{\w+\}", lambda found: _IDS.get(found[0], "7"), path)


def routes_of(app: object, prefix: str = "") -> Iterator[str]:
    """Every route of an app and of what is mounted in it, as the rules name them."""
    for context in iter_route_contexts(app.routes):  # type: ignore[attr-defined]  # every app has some
        route = context.original_route
        if isinstance(route, Mount) and hasattr(route.app, "routes"):
            yield from routes_of(route.app, prefix + route.path)
        elif isinstance(route, Route):
            for method in (route.methods or {"GET"}) - {"HEAD"}:
                yield f"{method} {prefix}{route.path}"


async def send(
    served: Served, route: str, key: NewApiKey | str | None, query: str = _NONSENSE
) -> httpx.Response:
    method, _, path = route.partition(" ")
    headers = {} if key is None else shown(key)
    return await served.http.request(method, address_of(path) + query, headers=headers)


def test_every_route_has_a_rule_and_every_rule_a_route(required: Served) -> None:
    assert set(routes_of(required.app.framework)) == set(RULES)


async def test_what_has_no_rule_is_refused(required: Served, stage: Stage) -> None:
    everything_else = await a_new_key(
        stage.database, *(scope for scope in Scope if scope is not Scope.ADMIN)
    )
    required.app.framework.add_route("/forgotten", _forgotten, methods=["GET"])
    refused = await required.get("/forgotten", headers=shown(everything_else))
    assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    assert (await required.get("/forgotten")).status_code == 401
    admin = await a_new_key(stage.database, "admin")
    assert (await required.get("/forgotten", headers=shown(admin))).status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /healthz%0A",
        "GET /tasks%0A",
        "GET /task_service/api/v1/worker/%0A",
    ],
)
async def test_a_path_that_is_almost_a_route_is_not_served_by_its_rule(
    required: Served, stage: Stage, request_line: str
) -> None:
    """The framework's patterns admit a line break at the end of a path."""
    method, _, path = request_line.partition(" ")
    key = await a_new_key(stage.database, "tasks:read", "tasks:operate", "metrics")
    assert (await required.http.request(method, path)).status_code == 401
    refused = await required.http.request(method, path, headers=shown(key))
    assert refused.status_code == 403
    assert "does not grant admin" in refused.text


@pytest.mark.parametrize(
    ("request_line", "allow"),
    [
        ("DELETE /tasks", "GET, HEAD, POST"),
        ("PUT /tasks/{id}", "GET, HEAD, PATCH"),
        ("PUT /docs", "GET, HEAD"),
        ("PROPFIND /healthz", "GET, HEAD"),
        ("DELETE /audit", "GET, HEAD"),
        ("POST /static/pages/pages.css", "GET, HEAD"),
        ("DELETE /static/nothing", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_a_405_for_every_valid_key(
    required: Served, stage: Stage, request_line: str, allow: str
) -> None:
    assert (await send(required, request_line, None)).status_code == 401
    for scope in (Scope.METRICS, Scope.ADMIN):
        key = await a_new_key(stage.database, scope)
        refused = await send(required, request_line, key)
        assert (refused.status_code, refused.headers.get("allow")) == (405, allow), scope


async def test_a_method_that_a_mounted_app_does_not_take_is_a_405_too(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.database, "metrics")
    path = "/task_service/api/v1/task/"
    assert (await required.http.delete(path)).status_code == 401
    assert (await required.http.delete(path, headers=shown(key))).status_code == 405
    assert (await required.http.get(path, headers=shown(key))).status_code == 403


async def _forgotten(_: Request) -> Response:
    return Response("open")


async def states(stage: Stage) -> dict[str, NewApiKey | str | None]:
    """A key in each state in which it is not valid; all of them would be admin's."""
    database = stage.database
    revoked = await a_new_key(database, "admin")
    await revoke(stage.owner_database, revoked.key.id)
    expired = await a_new_key(database, "admin")
    await stage.sql.execute(
        "UPDATE taskmill.api_key SET expires_at = now() WHERE id = $1", expired.key.id
    )
    valid = await a_new_key(database, "admin")
    return {
        "none": None,
        "malformed": "nonsense",
        "typo": valid.text[:-1] + ("0" if valid.text[-1] != "0" else "1"),
        "unknown": format_key("live", "0" * 16, b"k" * 32),
        "wrong": format_key("live", valid.key.id, b"k" * 32),
        "elsewhere": await a_new_key(database, "admin", networks=("192.0.2.0/24",)),
        "expired": expired,
        "revoked": revoked,
    }


@pytest.mark.slow
async def test_without_a_valid_key_only_what_is_open_is_served(
    required: Served, stage: Stage
) -> None:
    refusals = set()
    for state, key in (await states(stage)).items():
        for route, rule in RULES.items():
            response = await send(required, route, key)
            if rule.check is Check.OPEN:
                assert response.status_code not in {401, 403}, (route, state)
                continue
            assert response.status_code == 401, (route, state)
            assert response.headers["www-authenticate"] == "Bearer"
            if "/task_service/" not in route:
                refusals.add(tuple(sorted({**response.json(), "instance": ""}.items())))
            else:
                assert response.json().keys() == {"detail"}
    assert len(refusals) == 1, "nobody can see what is wrong with a key"


@pytest.mark.slow
async def test_a_key_is_for_its_scopes_only(required: Served, stage: Stage) -> None:
    for scope in Scope:
        key = await a_new_key(stage.database, scope)
        for route, rule in RULES.items():
            response = await send(required, route, key)
            is_free = rule.check in {Check.OPEN, Check.KEY}
            is_granted = is_free or scope in {rule.scope, Scope.ADMIN}
            assert (response.status_code not in {401, 403}) == is_granted, (route, scope)
            if not is_granted:
                assert response.status_code == 403
                assert f"does not grant {rule.scope}" in response.json()["detail"]


async def test_what_is_about_all_queues_needs_a_grant_for_all(
    required: Served, stage: Stage
) -> None:
    for route, rule in RULES.items():
        if rule.check is Check.ALL and rule.scope in {Scope.TASKS_READ, Scope.TASKS_OPERATE}:
            key = await a_new_key(stage.database, f"{rule.scope} queue=mail,a*")
            response = await send(required, route, key)
            assert response.status_code == 403, route
            assert f"does not grant {rule.scope} for all queues" in response.json()["detail"]


TASK_ROUTES = [
    pytest.param(route, rule, id=route) for route, rule in RULES.items() if rule.check is Check.TASK
]


@pytest.mark.parametrize(("route", "rule"), TASK_ROUTES)
async def test_a_task_of_others_is_not_there(
    required: Served, stage: Stage, route: str, rule: Rule
) -> None:
    foreign, own = await stage.created(queue="foreign"), await stage.created(queue="mail")
    key = await a_new_key(stage.database, f"{rule.scope} queue=mail")
    method, _, path = route.partition(" ")

    async def respond(wanted: object) -> httpx.Response:
        address = re.sub(r"\{\w+\}", str(wanted), path)
        return await required.http.request(method, address, headers=shown(key))

    def anonymous(response: httpx.Response, wanted: object) -> tuple[int, str, list[str]]:
        names = sorted(set(response.headers) - {"x-request-id", "date"})
        return response.status_code, response.text.replace(str(wanted), "ID"), names

    for _ in range(2):  # the second time by the fast path, where there is one
        unknown = uuid4()
        there, missing = await respond(foreign.id), await respond(unknown)
        assert anonymous(there, foreign.id) == anonymous(missing, unknown)
        assert there.status_code == 404
        assert (await respond(own.id)).status_code != 404
    if "{id}" in path:
        there, missing = await respond(foreign.number), await respond(987_654_321)
        assert anonymous(there, foreign.number) == anonymous(missing, 987_654_321)
    assert (await stage.task(foreign.id)).version == foreign.version


async def test_each_request_of_a_connection_counts_for_the_key_that_it_shows(
    required: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mail")
    own = await a_new_key(stage.database, "tasks:read queue=mail")
    foreign = await a_new_key(stage.database, "tasks:read queue=other")
    unknown = format_key("test", "0" * 16, bytes(32))
    expected = ((own, 200), (foreign, 404), (unknown, 401))
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=required.url, limits=limits) as http:
        for key, status in expected * 3:  # the first time by the layers, then by the fast path
            response = await http.get(f"/tasks/{task.id}", headers=shown(key))
            assert response.status_code == status
        assert (await http.get(f"/tasks/{task.id}")).status_code == 401


async def test_a_queue_in_the_path_is_checked(required: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:operate queue=mail")
    for queue, status in (("mail", 200), ("other", 403)):
        response = await required.http.patch(
            f"/queues/{queue}", json={"paused": True}, headers=shown(key)
        )
        assert response.status_code == status
    assert (await required.http.delete("/queues/other", headers=shown(key))).status_code == 403


async def test_tasks_are_created_in_the_queues_of_the_key_only(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.database, "tasks:create queue=mail type=send-*")
    fine = {"name": "a", "queue": "mail", "type": "send-email"}
    for _ in range(3):  # the first by the layers, then by the fast path
        assert (await required.post("/tasks", fine, headers=shown(key))).status_code == 201
        for change in ({"queue": "other"}, {"type": "other"}, {"queue": "mailer"}):
            response = await required.post("/tasks", {**fine, **change}, headers=shown(key))
            assert response.status_code == 403, change
    named = await required.post("/tasks", {**fine, "queue": "mailer"}, headers=shown(key))
    assert "does not grant tasks:create for queue 'mailer' and type 'send-email'" in named.text
    legacy = await required.post("/task_service/api/v1/task/", {"name": "a"}, headers=shown(key))
    assert (legacy.status_code, legacy.json().keys()) == (403, {"detail"})


async def test_an_array_is_created_as_a_whole_or_not_at_all(required: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:create queue=mail")
    tasks = [{"name": "a", "queue": "mail"}, {"name": "b", "queue": "other"}]
    response = await required.post("/tasks/batch", tasks, headers=shown(key))
    assert (response.status_code, response.json()["scope"]) == (403, "tasks:create")
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0
    response = await required.post("/tasks/batch", tasks[:1], headers=shown(key))
    assert response.status_code == 201


async def test_lines_are_refused_one_by_one(required: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:create queue=mail")
    body = b'{"name":"a","queue":"other"}\n{"name":"b","queue":"mail"}\n{"name":"c"}\n'
    response = await required.post(
        "/tasks/batch", body, headers={**shown(key), "content-type": "application/x-ndjson"}
    )
    assert re.findall(r'^{"line":\d,"status":(\d+)', response.text, re.MULTILINE) == [
        "403",
        "201",
        "403",
    ]


async def test_requests_are_sent_only_to_hosts_that_are_granted(
    required: Served, stage: Stage
) -> None:
    create = "tasks:create"
    without = await a_new_key(stage.database, create, "webhooks")
    some = await a_new_key(stage.database, create, "webhooks", "outbound host=*.example.org")
    push = {"name": "a", "type": "http", "payload": {"url": "https://HOOKS.example.org/x"}}
    call = {"name": "a", "callback_url": "https://hooks.example.org/x"}
    for _ in range(2):
        for path, body in (
            ("/tasks", push),
            ("/tasks", call),
            ("/webhooks", {"url": call["callback_url"]}),
        ):
            refused = await required.post(path, body, headers=shown(without))
            assert (refused.status_code, refused.json()["scope"]) == (403, "outbound"), body
            assert (await required.post(path, body, headers=shown(some))).status_code == 201
    elsewhere = await required.post(
        "/tasks", {**call, "callback_url": "https://example.com/"}, headers=shown(some)
    )
    assert "does not grant outbound for host 'example.com'" in elsewhere.text
    [webhook, *_] = (await required.get("/webhooks", headers=shown(some))).json()["items"]
    moved = await required.http.patch(
        f"/webhooks/{webhook['id']}", json={"url": "https://example.com/"}, headers=shown(some)
    )
    assert moved.status_code == 403


async def test_workers_take_the_queues_and_types_of_their_key_only(
    required: Served, stage: Stage
) -> None:
    await stage.created(queue="mail", type="send")
    key = await a_new_key(stage.database, "worker queue=mail type=send")

    def wanted(queues: list[str], types: list[str]) -> dict[str, object]:
        return {"worker": "w", "queues": queues, "types": types, "wait_s": 0}

    for queues, types in (([], ["send"]), (["mail", "x"], ["send"]), (["mail"], ["send", "x"])):
        refused = await required.post("/leases", wanted(queues, types), headers=shown(key))
        assert (refused.status_code, refused.json()["scope"]) == (403, "worker")
    taken = await required.post("/leases", wanted(["mail"], ["send"]), headers=shown(key))
    assert taken.status_code == 201, taken.text
    lease = taken.json()
    address = f"/leases/{lease['lease_id']}"
    stranger = await a_new_key(stage.database, "worker queue=other")
    nowhere = f"/leases/{uuid4()}"
    for method, rest in (("POST", "/renew"), ("DELETE", "")):
        there = await required.http.request(method, address + rest, headers=shown(stranger))
        missing = await required.http.request(method, nowhere + rest, headers=shown(stranger))
        assert there.status_code == missing.status_code == 404
        assert there.text.replace(address[8:], "") == missing.text.replace(nowhere[8:], "")
    assert (await required.post(f"{address}/renew", headers=shown(key))).status_code == 200
    [task] = lease["tasks"]
    end = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}
    finish = f"/tasks/{task['id']}/finish"
    assert (await required.post(finish, end, headers=shown(stranger))).status_code == 404
    assert (await required.post(finish, end, headers=shown(key))).status_code == 200


async def test_a_path_with_nothing_is_not_found_with_a_key_and_refused_without(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.database, "metrics")
    for _ in range(2):
        assert (await required.get("/nowhere")).status_code == 401
        assert (await required.get("/nowhere", headers=shown(key))).status_code == 404


async def test_the_document_names_what_each_operation_needs(required: Served) -> None:
    document = (await required.get("/openapi.json")).json()
    listing = document["paths"]["/tasks"]["get"]
    audit = document["paths"]["/audit"]["get"]
    assert "it needs `tasks:read` for any queue" in listing["description"]
    assert "it needs `admin` for all queues" in audit["description"]
    assert {"401", "403"} <= listing["responses"].keys()
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
