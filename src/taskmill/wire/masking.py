"""Tasks as a reader may see them: with secret values of the payload masked, or plain. Not: which of both."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NewType

import orjson

from taskmill.domain.task import Task
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.contracts.nodes import Node
from taskmill.wire.contracts.secret_fields import SecretFields
from taskmill.wire.encoding import Fragment, encode_json
from taskmill.wire.payload_secrets import left_out_at, masked_at
from taskmill.wire.push import TYPE as PUSH

PUSH_SECRETS: Final = SecretFields(Node(properties={"headers": Node(others=Node(is_secret=True))}))
"""What is secret in a push: the values of all headers."""

ShownTask = NewType("ShownTask", Task)
"""A task of which a reader may see everything that it has: only such tasks are rendered."""


def masked(task: Task, secrets: SecretFields | None) -> ShownTask:
    """Return the task for readers who may not see what is secret in its payload: by its type, and by itself."""
    if task.payload is None or not has_secrets(task, secrets):
        return ShownTask(task)
    payload = _masked_payload(task.payload, secrets, task.payload_secrets)
    return ShownTask(replace(task, payload=payload))


def without_secrets(task: Task, secrets: SecretFields | None) -> Task:
    """Return the task without the secret fields of its payload; the same one if it has none."""
    if task.payload is None or not has_secrets(task, secrets):
        return task
    payload = _payload_without_secrets(task.payload, secrets, task.payload_secrets)
    return replace(task, payload=payload)


def without_content(task: Task) -> ShownTask:
    """Return the task for those who may not read it: what it does and how it ended is left out."""
    return ShownTask(
        replace(
            task,
            description=None,
            payload=None,
            payload_secrets=None,
            result=None,
            error=None,
            progress=None,
            callback_url=None,
        )
    )


def masked_template(task: str, secrets: SecretFields | None) -> str:
    """Return the body of a request to create tasks, masked as its tasks are."""
    return _with_payload(task, secrets, _masked_payload)


def template_without_secrets(task: str, secrets: SecretFields | None) -> str:
    """Return the body of a request to create tasks without the secret fields of its payload."""
    return _with_payload(task, secrets, _payload_without_secrets)


def _with_payload(
    task: str,
    secrets: SecretFields | None,
    changed: Callable[[str, SecretFields | None, str | None], str],
) -> str:
    body = orjson.loads(task)
    pointers = body.get("payload_secrets")
    if body.get("payload") is None or (secrets is None and not pointers):
        return task
    named = encode_json(pointers).decode() if pointers else None
    payload = changed(encode_json(body["payload"]).decode(), secrets, named)
    return encode_json({**body, "payload": Fragment(payload)}).decode()


def _masked_payload(payload: str, secrets: SecretFields | None, pointers: str | None) -> str:
    if secrets is not None:
        payload = secrets.masked(payload)
    return payload if pointers is None else masked_at(payload, pointers)


def _payload_without_secrets(
    payload: str, secrets: SecretFields | None, pointers: str | None
) -> str:
    # First what it names itself: its pointers count items that leaving others out would move.
    if pointers is not None:
        payload = left_out_at(payload, pointers)
    return payload if secrets is None else secrets.left_out(payload)


def has_secrets(task: Task, secrets: SecretFields | None) -> bool:
    """Return whether anything may be secret in the payload of a task, given what its type says."""
    return secrets is not None or task.payload_secrets is not None


def cost(task: Task, secrets: SecretFields | None) -> int:
    """Return how long masking takes at most, about: as reading so many bytes."""
    if task.payload is None:
        return 0
    of_itself = 0 if task.payload_secrets is None else len(task.payload)
    return of_itself + (0 if secrets is None else secrets.cost(task.payload))


def secrets_of(type_: str, contracts: Mapping[str, Contract]) -> SecretFields | None:
    """Return what is secret in payloads of a type that has a contract in force, or is built in."""
    if type_ == PUSH:
        return PUSH_SECRETS
    contract = contracts.get(type_)
    return contract.secrets() if contract is not None and contract.may_have_secrets else None


def plain(task: Task) -> ShownTask:
    """Return the task for a reader who may see everything."""
    return ShownTask(task)
