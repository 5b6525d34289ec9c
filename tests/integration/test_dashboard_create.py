"""The form for a new task over HTTP: what it creates, what it refuses and where, and its snippets."""

import ast
import html
import re
import shlex
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.settings import Settings
from tests.support.api import Served
from tests.support.pages import serving_pages
from tests.support.stage import Stage

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "description": "whom it goes to"},
        "copies": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 1},
        "urgent": {"type": "boolean"},
        "kind": {"enum": ["plain", 2]},
    },
    "required": ["to"],
}
NESTED = {"type": "object", "properties": {"rows": {"type": "array"}}}
ALL = {
    "name": "monthly report",
    "description": "for finance",
    "type": "report",
    "queue": "reports",
    "mode": "json",
    "payload": '{"pages": 12}',
    "delay_s": "0.5",
    "priority": "7",
    "max_attempts": "3",
    "max_losses": "0",
    "timeout_s": "60",
    "expires_at": "2090-01-31T09:00",
    "retry_base_s": "1",
    "retry_factor": "2",
    "labels": "team=finance\nmonth = may ",
    "callback_url": "https://example.org/done",
    "idempotency_key": "report-1",
}


async def send(pages: Served, path: str = "/ui/create", **values: str) -> httpx.Response:
    return await pages.post(path, urlencode(values).encode())


async def contract(stage: Stage, name: str, schema: dict[str, Any]) -> None:
    await stage.service.contracts.register(
        TypeContract(type=name, schema=orjson.dumps(schema).decode()), by="test"
    )


def faults(response: httpx.Response) -> list[tuple[str, str]]:
    """Return the faults of the summary: the element of the form, and the pointer."""
    return re.findall(
        r'<li lang="en"><a href="#f-([^"]+)"><code><bdi>([^<]*)</bdi></code>', response.text
    )


def snippet(response: httpx.Response, number: int) -> str:
    return html.unescape(re.findall(r'data-copy="([^"]*)"', response.text)[number])


async def count(stage: Stage) -> int:
    page = await stage.service.page(TaskFilter(), PageRequest())
    return page.total or 0


async def test_all_that_is_filled_in_is_created_as_over_http(pages: Served, stage: Stage) -> None:
    response = await send(pages, **ALL)
    assert response.status_code == 303, response.text
    task = await stage.task(UUID(response.headers["location"].rpartition("/")[2]))
    made = await pages.post(
        "/tasks",
        {
            **{name: ALL[name] for name in ("name", "description", "type", "queue")},
            "payload": {"pages": 12},
            "delay_s": 0.5,
            "priority": 7,
            "max_attempts": 3,
            "max_losses": 0,
            "timeout_s": 60,
            "expires_at": "2090-01-31T09:00:00Z",
            "retry": {"base_s": 1, "factor": 2},
            "labels": {"team": "finance", "month": "may"},
            "callback_url": ALL["callback_url"],
            "idempotency_key": "report-1",
        },
    )
    # The key's request was the same one, to the last value.
    assert (made.status_code, made.json()["id"]) == (200, str(task.id))
    assert (task.priority, orjson.loads(task.labels)) == (7, {"team": "finance", "month": "may"})


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"name": ""}, [("name", "/name")]),
        ({"name": "n", "type": "No Such"}, [("type", "/type")]),
        ({"name": "n", "queue": "-"}, [("queue", "/queue")]),
        ({"name": "n", "mode": "json", "payload": "{"}, [("payload", "/payload")]),
        ({"name": "n", "mode": "json", "payload": "[1]"}, [("payload", "/payload")]),
        ({"name": "n", "mode": "json", "payload": '{"a": "\\u0000"}'}, [("payload", "/payload/a")]),
        ({"name": "n", "mode": "json", "payload": "[" * 100}, [("payload", "/payload")]),
        ({"name": "n", "p.delay_s": "soon"}, [("payload-0", "/payload/delay_s")]),
        ({"name": "n", "p.delay_s": "1e999"}, [("payload-0", "/payload/delay_s")]),
        (
            {"name": "n", "p.failure_probability": "2"},
            [("payload-3", "/payload/failure_probability")],
        ),
        ({"name": "n", "priority": "10"}, [("priority", "/priority")]),
        ({"name": "n", "delay_s": "1", "run_at": "2090-01-01T00:00"}, [("delay_s", "/delay_s")]),
        ({"name": "n", "run_at": "tomorrow"}, [("run_at", "/run_at")]),
        ({"name": "n", "retry_factor": "0"}, [("retry_factor", "/retry/factor")]),
        ({"name": "n", "labels": "no mark"}, [("labels", "/labels")]),
        ({"name": "n", "labels": "a=1\na=2"}, [("labels", "/labels")]),
        ({"name": "n", "callback_url": "ftp://x"}, [("callback_url", "/callback_url")]),
        ({"name": "n", "max_attempts": "1.5"}, [("max_attempts", "/max_attempts")]),
        ({"name": "n", "type": "http"}, [("payload", "/payload")]),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_reported_at_its_field_and_stays(
    pages: Served, stage: Stage, values: dict[str, str], found: list[tuple[str, str]]
) -> None:
    response = await send(pages, **values)
    assert response.status_code == 422
    assert faults(response) == found
    field = found[0][0]
    assert f'id="bad-{field}"' in response.text
    assert re.search(rf'id="f-{re.escape(field)}" aria-invalid="true"', response.text)
    for value in values.values():
        assert html.escape(value).replace("&quot;", "&#34;") in response.text
    assert await count(stage) == 0


async def test_the_fields_of_a_type_are_those_of_its_schema(pages: Served, stage: Stage) -> None:
    await contract(stage, "mail", SCHEMA)
    form = await pages.get("/ui/create?type=mail")
    for words in (
        'name="p.to"',
        "whom it goes to",
        "required",
        "<option>true",
        "<option>&#34;plain",
    ):
        assert words in form.text
    refused = await send(pages, name="n", type="mail", **{"p.copies": "many"})
    assert faults(refused) == [("payload-1", "/payload/copies"), ("payload-0", "/payload/to")] or (
        sorted(faults(refused)) == [("payload-0", "/payload/to"), ("payload-1", "/payload/copies")]
    )
    values = {"p.to": "a@b", "p.copies": "2", "p.urgent": "true", "p.kind": "2"}
    made = await send(pages, name="n", type="mail", **values)
    task = await stage.task(UUID(made.headers["location"].rpartition("/")[2]))
    assert orjson.loads(task.payload or "") == {"to": "a@b", "copies": 2, "urgent": True, "kind": 2}


async def test_payloads_that_are_more_than_fields_are_written_as_json(
    pages: Served, stage: Stage
) -> None:
    await contract(stage, "rows", NESTED)
    form = (await pages.get("/ui/create?type=rows")).text
    assert 'name="payload"' in form
    assert 'value="fields"' not in form
    assert "Schema of this type" in form


async def test_the_payload_goes_from_fields_to_json_and_back(pages: Served, stage: Stage) -> None:
    await contract(stage, "mail", SCHEMA)
    to_json = await send(
        pages, "/ui/create/payload", type="mail", mode="fields", to="json", **{"p.to": "a@b"}
    )
    assert html.unescape(to_json.text).count('"to": "a@b"') == 1
    payload = '{"to": "x", "kind": "plain"}'
    back = await send(
        pages, "/ui/create/payload", type="mail", mode="json", to="fields", payload=payload
    )
    assert 'name="p.to" value="x"' in back.text
    assert "<option selected>&#34;plain&#34;" in back.text
    for more in ('{"to": "x", "more": 1}', '{"to": 1}', "[]", "{"):
        stuck = await send(
            pages, "/ui/create/payload", type="mail", mode="json", to="fields", payload=more
        )
        assert "so it stays JSON" in stuck.text
        assert more in html.unescape(stuck.text)


async def test_the_same_form_sent_twice_makes_one_task_and_a_changed_one_another(
    pages: Served, stage: Stage
) -> None:
    form = (await pages.get("/ui/create")).text
    token = re.findall(r'name="token" value="([^"]+)"', form)[0]
    first = await send(pages, name="once", token=token)
    again = await send(pages, name="once", token=token)
    assert first.headers["location"] == again.headers["location"]
    other = await send(pages, name="twice", token=token)
    assert other.headers["location"] != first.headers["location"]
    assert await count(stage) == 2


async def test_a_key_that_was_used_for_another_body_is_reported_at_the_key(pages: Served) -> None:
    await send(pages, name="one", idempotency_key="k")
    response = await send(pages, name="two", idempotency_key="k")
    assert response.status_code in (409, 422)
    assert faults(response) == [("idempotency_key", "/idempotency_key")]


async def test_too_large_bodies_are_reported_in_the_form(stage: Stage) -> None:
    settings = Settings(limits={"body_bytes": 300})
    async with serving_pages(stage, settings) as pages:
        response = await send(pages, name="n", mode="json", payload='{"a": "' + "x" * 300 + '"}')
        assert response.status_code == 413
        assert "300 bytes at most" in response.text
        assert (await pages.post("/ui/create", b"x" * 100_000)).status_code == 413


async def test_another_task_is_filled_in_like_one_that_was(pages: Served, stage: Stage) -> None:
    payload = '{"delay_s":0.5,"failure_probability":0}'
    task = await stage.created(
        name="أ <b> 🎉", payload=payload, queue="q1", priority=9, labels='{"team":"x=y"}'
    )
    form = (await pages.get(f"/ui/create?like={task.id}")).text
    shown = html.unescape(form)
    assert 'name="name" value="أ <b> 🎉"' in shown
    assert 'name="p.delay_s" value="0.5"' in form
    assert 'name="p.failure_probability" value="0"' in form
    assert "team=x=y" in form
    assert 'value="9" selected' in form
    other = await stage.created(payload='{"delay_s":0.5,"mine":[1]}')
    assert '"mine": [' in html.unescape((await pages.get(f"/ui/create?like={other.id}")).text)
    assert f"/ui/create?like={task.id}" in (await pages.get(f"/ui/tasks/{task.id}")).text


async def test_a_payload_that_is_too_long_for_a_form_is_taken_from_its_task(stage: Stage) -> None:
    payload = orjson.dumps({"text": "x" * 100_000}).decode()
    task = await stage.created(type="t", payload=payload)
    async with serving_pages(stage, Settings()) as roomy:
        form = (await roomy.get(f"/ui/create?like={task.id}")).text
        assert len(form) < 50_000
        assert f'name="payload_of" value="{task.id}"' in form
        same = {"name": "n", "type": "t", "mode": "same", "payload_of": str(task.id)}
        made = await send(roomy, **same)
        other = await stage.task(UUID(made.headers["location"].rpartition("/")[2]))
        assert orjson.loads(other.payload or "") == orjson.loads(payload)
        written = await send(roomy, "/ui/create/payload", **same, to="json")
        assert '<textarea name="payload"' in written.text
        for wrong in ({"payload_of": "x"}, {"payload_of": str(UUID(int=1))}):
            assert (await send(roomy, **same | wrong)).status_code in (404, 422)


async def test_the_snippets_have_what_the_form_has(pages: Served) -> None:
    values = {"name": 'it\'s "quoted" $HOME `id` 🎉', "p.delay_s": "0", "labels": "a='b'"}
    body = {"name": values["name"], "payload": {"delay_s": 0}, "labels": {"a": "'b'"}}
    response = await send(pages, "/ui/create/snippets", **values)
    words = shlex.split(snippet(response, 0).replace("\\\n", " "))
    assert words[3] == f"{pages.url}/tasks"
    assert orjson.loads(words[-1]) == body
    command, _, document = snippet(response, 1).partition("\n")
    assert command == "taskmill queue publish - <<'END'"
    assert orjson.loads(document.removesuffix("END")) == body
    calls = [one for one in ast.walk(ast.parse(snippet(response, 2))) if isinstance(one, ast.Call)]
    [made] = [one for one in calls if getattr(one.func, "attr", "") == "create"]
    assert {one.arg: ast.literal_eval(one.value) for one in made.keywords} == body


async def test_there_is_no_snippet_for_an_invalid_body(pages: Served) -> None:
    response = await send(pages, "/ui/create/snippets", mode="json", payload="{", type="x")
    assert response.status_code == 200
    assert "data-copy" not in response.text
    assert "/payload" in response.text


async def test_a_long_body_is_taken_from_a_file(pages: Served) -> None:
    payload = orjson.dumps({"text": "x" * 9_000}).decode()
    response = await send(pages, "/ui/create/snippets", name="n", mode="json", payload=payload)
    assert "--data-binary @task.json" in snippet(response, 0)
    ast.parse(snippet(response, 2))
    assert len(response.text) < 5_000
