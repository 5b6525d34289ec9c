"""Types and their contracts over HTTP, and the same refusal at every entry point."""

from typing import Any

import jsonschema_rs
import orjson
import pytest

from taskmill.wire.messages import CreationMessage, message_draft
from taskmill.wire.problems import problem_json
from taskmill.wire.types import TypeList, TypeView
from tests.support.api import LIMITS, Served
from tests.support.contracts import NEEDS_CC, NEEDS_TO, TYPE, message_limits_of
from tests.support.payload_schemas import HOSTILE
from tests.support.stage import Stage

ADDRESS = f"/types/{TYPE}"
BAD = {"name": "a task", "type": TYPE, "payload": {"to": 5, "copies": 0, "~/": 1}}


async def registered(
    api: Served, schema: object = NEEDS_TO, name: str = TYPE, **defaults: object
) -> None:
    body = {"payload_schema": schema, "defaults": defaults}
    response = await api.http.put(f"/types/{name}", content=orjson.dumps(body))
    assert response.status_code == 200, response.text


async def test_a_contract_that_is_dropped_while_it_is_registered_is_registered_again(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = stage.service.contracts
    refresh = contracts.refresh

    async def drop_first() -> None:
        monkeypatch.setattr(contracts, "refresh", refresh)
        await contracts.drop(TYPE)

    monkeypatch.setattr(contracts, "refresh", drop_first)
    await registered(api)
    assert (await api.get(ADDRESS)).status_code == 200


async def test_a_contract_is_registered_shown_and_dropped(api: Served) -> None:
    await registered(api, NEEDS_TO, queue="mail", retry={"base_s": 2})
    await registered(api, NEEDS_CC)
    response = await api.get(ADDRESS)
    shown = TypeView.model_validate_json(response.content)
    assert orjson.loads(response.content) == shown.model_dump(mode="json")
    assert (shown.name, shown.version, shown.registered_by) == (TYPE, 2, "rest")
    assert shown.payload_schema == NEEDS_CC
    assert [one.version for one in shown.versions] == [2, 1]
    retry = {"base_s": 2, "factor": 2, "max_s": 3600, "jitter": 0.1}
    assert shown.versions[1].defaults == {"queue": "mail", "retry": retry}
    listed = await api.get("/types")
    [only] = TypeList.model_validate_json(listed.content).items
    assert only.model_dump() == shown.model_dump(exclude={"versions"})
    assert (await api.http.delete(ADDRESS)).status_code == 204
    assert (await api.get("/types")).json() == {"items": []}
    for response in (await api.get(ADDRESS), await api.http.delete(ADDRESS)):
        assert (response.status_code, response.json()["type"]) == (404, "/problems/type-not-found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({}, "/payload_schema"),
        ({"payload_schema": "x"}, "/payload_schema"),
        ({"payload_schema": {"if": {}}}, "/payload_schema/if"),
        ({"payload_schema": {}, "defaults": {"priority": 10}}, "/defaults/priority"),
        ({"payload_schema": {}, "defaults": {"colour": "red"}}, "/defaults/colour"),
        ({"payload_schema": {}, "more": 1}, "/more"),
    ],
)
async def test_an_invalid_contract_is_refused_with_the_pointer(
    api: Served, body: object, pointer: str
) -> None:
    response = await api.http.put(ADDRESS, content=orjson.dumps(body))
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]
    assert (await api.get("/types")).json() == {"items": []}


async def test_names_and_queries_are_checked(api: Served) -> None:
    for path in ("/types/Upper", "/types/emulate", "/types/http"):
        response = await api.http.put(path, content=orjson.dumps({"payload_schema": {}}))
        assert response.status_code == 422
    for path in ("/types?x=1", f"{ADDRESS}?x=1"):
        assert (await api.get(path)).status_code == 422


async def test_every_kind_of_request_is_refused_with_the_same_problem(
    api: Served, stage: Stage
) -> None:
    await registered(api)
    rest = await api.post("/tasks", BAD)
    assert rest.status_code == 422
    problem = rest.json()
    del problem["instance"]
    assert [(one["pointer"], one["expected"], one["got"]) for one in problem["errors"]] == [
        ("/payload/to", "a string", "the number 5"),
        ("/payload/copies", "a number of at least 1", "the number 0"),
    ]
    with pytest.raises(Exception, match="/payload/to") as refused:
        message_draft(
            CreationMessage(body=orjson.dumps(BAD)), message_limits_of(stage.service.contracts)
        )
    assert orjson.loads(problem_json(refused.value)[2]) == problem
    lines = await api.post(
        "/tasks/batch", orjson.dumps(BAD), headers={"content-type": "application/x-ndjson"}
    )
    assert lines.json()["problem"] == problem
    batch = await api.post("/tasks/batch", [{"name": "fits"}, BAD])
    assert [one["pointer"] for one in batch.json()["errors"]] == [
        "/1/payload/to",
        "/1/payload/copies",
    ]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


async def test_a_repeated_request_gets_its_task_though_the_contract_changed(api: Served) -> None:
    await registered(api, {})
    keyed = {"Idempotency-Key": "k"}
    first = await api.post("/tasks", BAD, headers=keyed)
    assert first.status_code == 201
    await registered(api)
    again = await api.post("/tasks", BAD, headers=keyed)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert (await api.post("/tasks", BAD, headers={"Idempotency-Key": "l"})).status_code == 422


async def test_defaults_are_in_the_response(api: Served) -> None:
    await registered(api, {}, queue="mail", priority=8, max_attempts=4)
    task = await api.create(type=TYPE)
    assert (task["queue"], task["priority"], task["max_attempts"]) == ("mail", 8, 4)
    assert (await api.create(type=TYPE, queue="own"))["queue"] == "own"


def schema_references(value: object) -> list[str]:
    """References where schemas may have them: data is left out."""
    if isinstance(value, list):
        return [found for one in value for found in schema_references(one)]
    if not isinstance(value, dict):
        return []
    data = {"const", "default", "example", "examples", "enum", "x-own"}
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [
        r for name, one in value.items() if name not in data for r in schema_references(one)
    ]


def found_at(document: dict[str, Any], reference: str) -> object:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


async def test_the_documents_show_each_type(api: Served) -> None:
    before = await api.get("/openapi.json")
    await registered(api, HOSTILE, "order.pay-now")
    await registered(api)
    openapi, asyncapi = (await api.get("/openapi.json")), (await api.get("/asyncapi.json"))
    assert openapi.headers["etag"] != before.headers["etag"]
    for document in (openapi.json(), asyncapi.json()):
        schemas = document["components"]["schemas"]
        assert {
            "CreateTask",
            f"CreateTask.{TYPE}",
            f"Payload.{TYPE}",
            "Payload.order.pay-now",
        } <= set(schemas)
        for reference in schema_references(document):
            found_at(document, reference)
        assert "$id" not in schemas["Payload.order.pay-now"]
        validator = jsonschema_rs.Draft202012Validator(
            {
                "$ref": "#/components/schemas/CreateTask.order.pay-now",
                "components": document["components"],
            }
        )
        fits = {"name": "x", "type": "order.pay-now", "payload": {"pet": {"kind": "cat"}, "n": 1}}
        assert validator.is_valid(fits)
        assert not validator.is_valid({**fits, "type": "other"})
        assert not validator.is_valid({**fits, "payload": {"pet": {"kind": "fish"}}})
        assert not validator.is_valid({**fits, "payload": {"pet": {"kind": "cat"}, "n": "x"}})
    content = openapi.json()["paths"]["/tasks"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    assert [one["$ref"].rpartition("/")[2] for one in content["schema"]["anyOf"]] == [
        "CreateTask", "CreateTask.order.pay-now", f"CreateTask.{TYPE}",
    ]  # fmt: skip
    for name in ("any", "order.pay-now", TYPE):
        response = await api.post("/tasks", content["examples"][name]["value"])
        assert response.status_code == 201, response.text
    mapping = openapi.json()["components"]["schemas"]["Payload.order.pay-now"]["properties"]["pet"]
    assert mapping["discriminator"]["mapping"]["cat"] == (
        "#/components/schemas/Payload.order.pay-now/$defs/cat"
    )
    await api.http.delete("/types/order.pay-now")
    await api.http.delete(ADDRESS)
    after = await api.get("/openapi.json", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 304


async def test_a_schema_over_the_limit_of_bodies_is_refused_as_any_body(api: Served) -> None:
    body = {"payload_schema": {"title": "x" * LIMITS.body_bytes}}
    assert (await api.http.put(ADDRESS, content=orjson.dumps(body))).status_code == 413
