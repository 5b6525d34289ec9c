"""The AsyncAPI document: creation messages, replies and events over RabbitMQ.

Its schemas are made of the models that the OpenAPI document has; the descriptions around them are here.
"""

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGE,
    REJECTED_QUEUE,
    event_key,
)
from taskmill.api import examples
from taskmill.api.openapi import move_defaults
from taskmill.domain.lifecycle import Status
from taskmill.wire.feed import CLOUD_EVENT, CloudEventView
from taskmill.wire.fields import NAME_PATTERN
from taskmill.wire.problems import Problem
from taskmill.wire.tasks import CreatedTaskView, CreateTask

Json = dict[str, Any]

_BINDING: Final = {"bindingVersion": "0.3.0"}
_JSON_TYPE: Final = "application/json"
_DESCRIPTION: Final = f"""\
Tasks are created by messages, too: publish to exchange `{EXCHANGE}` with key `{CREATE_KEY}`. The body is
exactly that of `POST /tasks`, and so are its rules. A message is acknowledged only after its task, or the
record of its refusal, is committed. Producers declare nothing; publish with confirms and `mandatory`.

What happens to tasks is published to exchange `{EVENTS_EXCHANGE}`, as CloudEvents 1.0: bind a queue of your own.

The other side, HTTP, is described by [OpenAPI](openapi.json).
"""


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def document(version: str) -> Json:
    """Return the document of this version of the program."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Taskmill: the queue's side",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON_TYPE,
        "servers": {"rabbitmq": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": _schemas(),
            "correlationIds": {
                "reply": {
                    "description": "the property `correlation_id`, given back as it came",
                    "location": "$message.header#/correlation_id",
                }
            },
        },
    }


def _server() -> Json:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ, as `TASKMILL_BROKER_URL` or the start of `taskmill up` names it",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "5672"}},
    }


def _channels() -> Json:
    return {
        "create": {
            "address": CREATE_KEY,
            "description": f"creation messages; Taskmill reads them from queue `{CREATE_QUEUE}`",
            "messages": {"createTask": _ref("messages", "createTask")},
            "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(EXCHANGE), **_BINDING}},
        },
        "changes": {
            "address": event_key("{status}", "{queue}"),
            "description": (
                "what happens to tasks, in order, each at least once: doubles have the same id. "
                "A queue's name may have dots: bind `task.succeeded.#`, or `#` for all"
            ),
            "parameters": {
                "status": {
                    "enum": list(map(str, Status)),
                    "description": "the task's status after the change",
                },
                "queue": {"description": f"the task's queue, `{NAME_PATTERN}`"},
            },
            "messages": {"taskChanged": _ref("messages", "taskChanged")},
            "bindings": {
                "amqp": {"is": "routingKey", "exchange": _exchange(EVENTS_EXCHANGE), **_BINDING}
            },
        },
        "rejected": {
            "address": REJECTED_QUEUE,
            "description": (
                "copies of refused messages, the latest 100,000 and 1 GiB at most; "
                "`GET /rejections` has them all"
            ),
            "messages": {"rejectedMessage": _ref("messages", "rejectedMessage")},
            "bindings": {"amqp": {"is": "queue", "queue": _queue(REJECTED_QUEUE), **_BINDING}},
        },
        "replies": {
            "address": None,
            "description": "the queue that a creation message names in `reply_to`, by the default exchange",
            "messages": {"reply": _ref("messages", "reply")},
        },
    }


def _exchange(name: str) -> Json:
    return {"name": name, "type": "topic", "durable": True, "autoDelete": False}


def _queue(name: str) -> Json:
    return {"name": name, "durable": True, "exclusive": False, "autoDelete": False}


def _operations() -> Json:
    return {
        "createTask": {
            "action": "receive",
            "summary": "Create a task",
            "channel": {"$ref": "#/channels/create"},
            "messages": [{"$ref": "#/channels/create/messages/createTask"}],
            "reply": {
                "address": {
                    "description": "no reply without it",
                    "location": "$message.header#/reply_to",
                },
                "channel": {"$ref": "#/channels/replies"},
                "messages": [{"$ref": "#/channels/replies/messages/reply"}],
            },
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, **_BINDING}},
        },
        "tellChange": {
            "action": "send",
            "summary": "Publish what has happened to a task",
            "channel": {"$ref": "#/channels/changes"},
            "messages": [{"$ref": "#/channels/changes/messages/taskChanged"}],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": False, **_BINDING}},
        },
        "copyRejected": {
            "action": "send",
            "summary": "Keep a copy of a message that was refused",
            "channel": {"$ref": "#/channels/rejected"},
            "messages": [{"$ref": "#/channels/rejected/messages/rejectedMessage"}],
            "bindings": {"amqp": {"deliveryMode": 2, **_BINDING}},
        },
    }


def _messages() -> Json:
    bodies = CreateTask.model_config["json_schema_extra"]
    assert isinstance(bodies, dict)  # noqa: S101 - the library allows a function as well
    return {
        "createTask": {
            "title": "A request to create a task",
            "contentType": _JSON_TYPE,
            "headers": _object(_CREATE_PROPERTIES),
            "payload": _ref("schemas", "CreateTask"),
            "correlationId": _ref("correlationIds", "reply"),
            "bindings": {"amqp": {"messageType": "task.create", **_BINDING}},
            "examples": [{"payload": body} for body in _listed(bodies["examples"])],
        },
        "taskChanged": {
            "title": "A change of a task",
            "contentType": CLOUD_EVENT,
            "headers": _object(_CHANGE_PROPERTIES),
            "payload": _ref("schemas", "CloudEventView"),
            "examples": [{"payload": examples.RESPONSES["CloudEventView"]}],
        },
        "rejectedMessage": {
            "title": "A message that was refused, its body untouched",
            "headers": _object(_REJECTED_HEADERS, required=["taskmill-status", "taskmill-problem"]),
            "payload": {"description": "the bytes as they came, whatever they are"},
            "correlationId": _ref("correlationIds", "reply"),
        },
        "reply": {
            "title": "The reply to a creation message",
            "contentType": _JSON_TYPE,
            "headers": _object({"correlation_id": _CREATE_PROPERTIES["correlation_id"]}),
            "payload": _ref("schemas", "Reply"),
            "correlationId": _ref("correlationIds", "reply"),
            "examples": [
                {"payload": {"status": 201, "task": examples.RESPONSES["CreatedTaskView"]}},
                {"payload": {"status": 422, "problem": examples.problem(422)}},
            ],
        },
    }


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _object(properties: Json, *, required: list[str] | None = None) -> Json:
    return {"type": "object", "properties": properties, "required": required or []}


_CREATE_PROPERTIES: Final[Json] = {
    "message_id": {
        "type": "string",
        "maxLength": 255,
        "description": "AMQP property: the idempotency key, unless the body has one. A message without either "
        "that is delivered twice may make two tasks",
    },
    "reply_to": {"type": "string", "description": "AMQP property: the queue for the reply"},
    "correlation_id": {"type": "string", "description": "AMQP property: comes back with the reply"},
    "priority": {
        "type": "integer",
        "minimum": 0,
        "maximum": 9,
        "description": "AMQP property: the task's priority, when the body has none; 0 counts as unset",
    },
    "content_encoding": {
        "type": "string",
        "enum": ["identity", "utf-8", "utf8", ""],
        "description": "AMQP property: bodies come plain; any other value is refused",
    },
    "traceparent": {"type": "string", "description": "header: W3C trace context, kept"},
}
_CHANGE_PROPERTIES: Final[Json] = {
    "message_id": {
        "type": "string",
        "description": "AMQP property: the change's cursor, as the event's id; the same for a double",
    },
    "type": {"type": "string", "description": "AMQP property: as the event's type"},
}
_REJECTED_HEADERS: Final[Json] = {
    "taskmill-status": {
        "type": "integer",
        "description": "header: the status that HTTP would give",
    },
    "taskmill-problem": {"type": "string", "description": "header: the problem, a JSON text"},
    "taskmill-rejection-id": {
        "type": "string",
        "format": "uuid",
        "description": "header: the id in `GET /rejections/{id}`",
    },
}


def _schemas() -> Json:
    models = [
        (CreateTask, "validation"),
        (CreatedTaskView, "serialization"),
        (Problem, "serialization"),
        (CloudEventView, "serialization"),
    ]
    _, made = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    for schema in made["$defs"].values():
        move_defaults(schema)
    replies = [
        _object(
            {"status": {"enum": statuses}, name: _ref("schemas", model)}, required=["status", name]
        )
        for statuses, name, model in (
            ([200, 201], "task", "CreatedTaskView"),
            ([400, 409, 413, 422], "problem", "Problem"),
        )
    ]
    return {**made["$defs"], "Reply": {"oneOf": replies}}
