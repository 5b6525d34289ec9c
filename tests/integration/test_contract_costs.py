"""What contracts cost other requests: checks may take long, and so may the documents."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

import orjson
import pytest

from taskmill.settings import Settings
from tests.support.api import Served
from tests.support.contracts import a_contract, registered
from tests.support.event_loops import Watched
from tests.support.pages import serving_pages
from tests.support.stage import Stage

JSON_LINES = {"content-type": "application/x-ndjson"}
# 255 schemas check one value: as many as allowed.
DEFS = {"at-0": {"type": "string"}} | {
    f"at-{n + 1}": {"anyOf": [{"$ref": f"#/$defs/at-{n}"}, {"$ref": f"#/$defs/at-{n}"}]}
    for n in range(7)
}
EXPENSIVE = {"$defs": DEFS, "properties": {"a": {"items": {"$ref": "#/$defs/at-7"}}}}
PLAIN = {"properties": {"a": {"items": {"type": "integer"}}}}
LARGE = {"properties": {f"a{n}": {"pattern": "^[01]*1[01]{900}$"} for n in range(1_200)}}
MANY_VALUES = orjson.dumps({"name": "x", "type": "plain", "payload": {"a": [1] * 30_000}})
PAYLOAD = orjson.dumps({"a": [1] * 390})
TASK = b'{"name":"x","type":"expensive","payload":%s}' % PAYLOAD
# None of it is valid, so that everything is checked.
WRONG = b'{"type":"expensive","payload":%s}' % PAYLOAD
FORM = urlencode({"name": "x", "type": "expensive", "mode": "json", "payload": PAYLOAD.decode()})


class Counted:
    """Counts what the API runs on the offload thread from now on."""

    def __init__(self, api: Served) -> None:
        self.runs = 0
        offload = api.app._context.offload
        self._run = offload.run
        setattr(offload, "run", self._counted)  # noqa: B010 - the type checker need not know

    async def _counted(self, function: Callable[[], object]) -> object:
        self.runs += 1
        return await self._run(function)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server, and its pages, with the limits that it has by default, and contracts."""
    await registered(
        stage,
        a_contract(EXPENSIVE, "expensive"),
        a_contract(PLAIN, "plain"),
        a_contract(LARGE, "large"),
    )
    async with serving_pages(stage, Settings()) as served:
        # The first requests of their kinds take longer.
        await served.create()
        await served.post("/tasks/batch", [{"name": "first"}])
        await served.http.get("/ui/create")
        yield served


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/tasks", TASK, {}, 422),
        ("/tasks", TASK, {"idempotency-key": "k"}, 422),
        ("/tasks", WRONG, {}, 422),
        ("/tasks", MANY_VALUES, {}, 201),
        ("/tasks", b'{"name":"x","type":"large","payload":{}}', {}, 201),
        ("/tasks/batch", b"[" + b",".join([TASK] * 3) + b"]", {}, 422),
        ("/tasks/batch", b"\n".join([TASK] * 3), JSON_LINES, 200),
        ("/ui/create", FORM.encode(), {"content-type": "application/x-www-form-urlencoded"}, 422),
    ],
)
async def test_a_check_that_takes_long_leaves_the_loop_free(
    api: Served, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """A few hundred bytes blocked it for 0.05 to 0.1 s. A type's first payload compiles its schema."""
    offload = Counted(api)
    with Watched() as watched:
        # On a busy machine it may take longer than a request may.
        while (
            response := await api.http.post(path, content=body, headers=headers)
        ).is_server_error:
            assert response.status_code == 503, response.text
    assert response.status_code == status, response.text[:200]
    assert offload.runs
    # On the loop these took 0.05 to 0.1 s for one check of several; other programs slow the loop's thread down.
    assert watched.longest_s < 0.2
    if status == 422 and path == "/tasks":
        assert "/payload/a/0" in response.text


@pytest.mark.parametrize(("path", "most_s"), [("/openapi.json", 0.12), ("/asyncapi.json", 0.06)])
async def test_documents_of_large_contracts_are_rendered_in_a_thread(
    api: Served, stage: Stage, path: str, most_s: float
) -> None:
    """Twenty of 40 kB, as many as are shown, blocked the loop for 0.2 and 0.1 s after each change."""
    part = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
    large = {"properties": {f"a{n}": part for n in range(600)}}
    await registered(stage, *(a_contract(large, f"t{n}") for n in range(20)))
    with Watched() as watched:
        # On a busy machine it takes longer than a request may; the document is cached nevertheless.
        shown = await api.http.get(path)
        while shown.status_code == 503:
            shown = await api.http.get(path)
    assert "Payload.t19" in shown.text
    assert watched.longest_s < most_s
    again = await api.http.get(path, headers={"if-none-match": shown.headers["etag"]})
    assert again.status_code == 304
