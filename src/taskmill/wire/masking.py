"""Tasks as a reader may see them: with secret values of the payload masked, or plain. Not: which of both."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NewType

from taskmill.domain.task import Task
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.contracts.nodes import Node
from taskmill.wire.contracts.secret_fields import SecretFields
from taskmill.wire.push import TYPE as PUSH

PUSH_SECRETS: Final = SecretFields(Node(properties={"headers": Node(others=Node(is_secret=True))}))
"""What is secret in a push: the values of all headers."""

ShownTask = NewType("ShownTask", Task)
"""A task of which a reader may see everything that it has: only such tasks are rendered."""


def masked(task: Task, secrets: SecretFields | None) -> ShownTask:
    """Return the task for readers who may not see what is secret in its payload; None if nothing is."""
    if secrets is None or task.payload is None:
        return ShownTask(task)
    return ShownTask(replace(task, payload=secrets.masked(task.payload)))


def without_secrets(task: Task, secrets: SecretFields | None) -> Task:
    """Return the task without the secret fields of its payload."""
    if secrets is None or task.payload is None:
        return task
    return replace(task, payload=secrets.left_out(task.payload))


def secrets_of(type_: str, contracts: Mapping[str, Contract]) -> SecretFields | None:
    """Return what is secret in payloads of a type that has a contract in force, or is built in."""
    if type_ == PUSH:
        return PUSH_SECRETS
    contract = contracts.get(type_)
    return contract.secrets() if contract is not None and contract.may_have_secrets else None


def plain(task: Task) -> ShownTask:
    """Return the task for a reader who may see everything."""
    return ShownTask(task)
