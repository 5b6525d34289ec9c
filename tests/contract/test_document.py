"""The OpenAPI document by itself: names that stay, what comes first, and that it agrees with itself."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from taskmill.api.app import openapi_document
from taskmill.wire.rules import DEFAULT_LIMITS, key_violations

Json = dict[str, Any]

# Generated clients have these names: new ones are added, but none is ever changed.
OPERATIONS = {
    "create_task",
    "list_tasks",
    "cancel_tasks",
    "retry_tasks",
    "get_task",
    "list_events",
    "cancel_task",
    "retry_task",
    "list_logs",
    "add_log_lines",
    "follow_changes",
    "finish_claim",
    "fail_claim",
    "end_claim_as_cancelled",
    "report_progress",
    "take_lease",
    "renew_lease",
    "hand_back_lease",
    "create_tasks",
    "explain_task",
    "get_stats",
    "list_workers",
    "quiet_worker",
    "stop_worker",
    "resume_worker",
    "list_queues",
    "change_queue",
    "list_types",
    "get_type",
    "register_type",
    "drop_type",
    "list_webhooks",
    "create_webhook",
    "get_webhook",
    "change_webhook",
    "delete_webhook",
    "test_webhook",
    "list_deliveries",
    "resend_delivery",
    "list_callback_deliveries",
    "put_schedule",
    "list_schedules",
    "get_schedule",
    "change_schedule",
    "delete_schedule",
    "run_schedule",
    "backfill_schedule",
    "list_fires",
    "list_failures",
    "list_rejections",
    "get_rejection",
    "resend_rejection",
    "list_audit_entries",
    "get_health",
    "get_readiness",
    "get_metrics",
    "get_asyncapi",
}


@pytest.fixture(scope="module")
def document() -> Json:
    return openapi_document()


def operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def test_operations_have_short_names_that_stay(document: Json) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert set(names) >= OPERATIONS
    assert len(set(names)) == len(names)
    assert [name for name in names if not name.replace("_", "").isalpha()] == []
    # As the framework names what was made without `new_router`: by its path and its method, too.
    methods = ("_get", "_post", "_put", "_patch", "_delete")
    assert [name for name in names if name.endswith(methods)] == []


def test_creating_a_task_comes_first(document: Json) -> None:
    assert next(operations(document))["operationId"] == "create_task"
    assert document["tags"][0]["name"] == "tasks"


def test_it_has_a_relative_server_and_keys_where_they_are_required(document: Json) -> None:
    assert document["servers"] == [{"url": ".", "description": "this service"}]
    assert document["security"] == [{"api_key": []}, {}]


def test_states_of_deliveries_are_the_accepted_ones(document: Json) -> None:
    parameters = document["paths"]["/webhooks/{id}/deliveries"]["get"]["parameters"]
    (state,) = [one for one in parameters if one["name"] == "state"]
    name = state["schema"]["items"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][name]["enum"] == ["pending", "delivered", "failed"]


def test_what_may_be_left_out_of_a_request_has_no_default_there(document: Json) -> None:
    """Generators of clients take a field with a default for one that is always present."""
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            assert "default" not in field, name
    assert document["components"]["schemas"]["CreateTask"]["required"] == ["name"]


def test_every_reference_leads_somewhere(document: Json) -> None:
    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for part in node.values():
                yield from references(part)
        elif isinstance(node, list):
            for part in node:
                yield from references(part)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_examples_fit_their_schemas_and_have_no_other_fields(document: Json) -> None:
    schemas = document["components"]["schemas"]
    shown = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", []):
            whole = {
                "$ref": f"#/components/schemas/{name}",
                "components": document["components"],
                "unevaluatedProperties": False,
            }
            jsonschema_rs.Draft202012Validator(whole).validate(example)
            shown += 1
    assert shown > len(schemas) / 3


def test_a_header_with_a_key_has_a_pattern_of_what_is_accepted() -> None:
    schemas = [
        parameter["schema"]
        for methods in openapi_document()["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "Idempotency-Key"
    ]
    assert len(schemas) == 3
    for schema in schemas:
        fits = jsonschema_rs.validator_for(schema).is_valid
        for code in range(0x100):
            key = f"a{chr(code)}b"
            assert fits(key) is not any(key_violations("", key, DEFAULT_LIMITS)), hex(code)
        # A pattern can't name what is unprintable beyond, but refuses nothing that is accepted.
        assert fits("".join(filter(str.isprintable, map(chr, range(0x100, 0x1C0)))))
        assert [fits(key) for key in ("", "a" * 255, "a" * 256)] == [False, True, False]
