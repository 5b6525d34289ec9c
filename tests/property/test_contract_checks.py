"""Every door says the same of a payload: Python, PostgreSQL, and a library that knows JSON Schema by heart."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings

from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import ContractRefused
from taskmill.wire.contracts.checking import Checker
from taskmill.wire.contracts.door import compile_contract
from tests.support.json_schemas import contract_schemas, payloads, tagged_payloads
from tests.support.postgres import DatabaseServer

CHECK = "SELECT taskmill.contract_violations(%s::jsonb, taskmill.strict_payload(%s::json, 1048576))"


@pytest.fixture(scope="module")
def postgres(
    database_server: DatabaseServer, database_template: str
) -> Iterator[psycopg.Connection]:
    url = database_server.create(template=database_template)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    database_server.drop(url)


def compiled(schema: dict[str, Any]) -> str:
    contract = TypeContract(type="a-type", schema=orjson.dumps(schema).decode())
    return compile_contract(contract).form


def told_by_python(form: str, payload: object) -> list[dict[str, str]]:
    found = Checker(orjson.loads(form)).violations(payload)
    return [{"pointer": v.pointer, "expected": v.expected, "got": v.got} for v in found]


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(schema=contract_schemas(), payload=payloads | tagged_payloads)
def test_python_and_postgresql_say_the_same_and_a_library_agrees(
    postgres: psycopg.Connection, schema: dict[str, Any], payload: dict[str, Any]
) -> None:
    try:
        form = compiled(schema)
    except ContractRefused as refused:
        assume(all("circle" in one.expected + one.got for one in refused.violations))
        return
    said = told_by_python(form, payload)
    row = postgres.execute(CHECK, (form, orjson.dumps(payload).decode())).fetchone()
    assert row is not None
    assert row[0] == said
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(payload) == (not said)
