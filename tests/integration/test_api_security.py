"""What the OpenAPI documents say about keys: Swagger shows a padlock where one is needed."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED
from tests.support.stage import Stage

_DOCUMENTS = ("/openapi.json", "/task_service/openapi.json")
_KEY: list[dict[str, list[str]]] = [{"api_key": []}]


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def _operations(served: Served) -> Iterator[tuple[str, str, Any]]:
    """Each operation of the documents, and what it needs."""
    documents = [(await served.get(path)).json() for path in _DOCUMENTS]
    return (
        (method.upper(), path, operation.get("security", document["security"]))
        for document in documents
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )


async def test_where_keys_are_required_exactly_those_operations_need_one_that_are_refused_without(
    required: Served,
) -> None:
    needs = {}
    for method, path, security in await _operations(required):
        response = await required.http.request(method, re.sub(r"\{\w+\}", "7", path))
        assert security == (_KEY if response.status_code == 401 else []), (method, path)
        needs[path] = bool(security)
    assert needs["/tasks"]
    assert not needs["/healthz"]


async def test_without_keys_no_operation_needs_one(api: Served) -> None:
    found = [security for *_, security in await _operations(api)]
    assert len(found) > 60
    assert not any(found)
    document = (await api.get("/openapi.json")).json()
    assert "securitySchemes" not in document["components"]
