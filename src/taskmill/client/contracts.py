"""The calls for types and their contracts: which payloads are accepted."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from taskmill.client.calls import Call, deleted, got, path_of, sent
from taskmill.client.responses import reader
from taskmill.client.views.types import TypeList, TypeSummaryView, TypeView


class ContractDefaults(TypedDict, total=False):
    """Values for the fields that a task of the type does not set."""

    queue: str | None
    priority: int | None
    max_attempts: int | None
    max_losses: int | None
    retry: Mapping[str, float] | None
    timeout_s: float | None


def everything() -> Call[Sequence[TypeSummaryView]]:
    """Read the types that have a contract."""
    read = reader(TypeList)
    return Call(method="GET", path="/types", read=lambda response: read(response).items)


def get(name: str) -> Call[TypeView]:
    """Read a type's contract."""
    return got(path_of("types", name), TypeView)


def register(
    name: str, payload_schema: Mapping[str, Any], defaults: ContractDefaults | None
) -> Call[TypeView]:
    """Register a type's contract."""
    body = {"payload_schema": payload_schema, "defaults": defaults or {}}
    return sent("PUT", path_of("types", name), body, TypeView, repeatable=True)


def drop(name: str) -> Call[None]:
    """Drop a contract."""
    return deleted(path_of("types", name))
