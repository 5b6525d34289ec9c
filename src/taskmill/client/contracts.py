"""The calls for types and their contracts: what payloads have to look like."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from taskmill.client.answers import reader
from taskmill.client.calls import Call, path_of, reader_of_nothing, sent
from taskmill.client.sending import AsyncSender, Sender
from taskmill.wire.types import TypeList, TypeSummaryView, TypeView

__all__ = ["AsyncContractCalls", "ContractCalls", "ContractDefaults"]


class ContractDefaults(TypedDict, total=False):
    """What a task of the type gets where it does not say."""

    queue: str | None
    priority: int | None
    max_attempts: int | None
    max_losses: int | None
    retry: Mapping[str, float] | None
    timeout_s: float | None


class ContractCalls(Sender):
    """Types, for ordinary Python."""

    def types(self) -> Sequence[TypeSummaryView]:
        """Read the types that have a contract, by name."""
        return self._send(_all())

    def get_type(self, name: str) -> TypeView:
        """Read a type's contract, with its earlier versions."""
        return self._send(_get(name))

    def register_type(
        self,
        name: str,
        payload_schema: Mapping[str, Any],
        defaults: ContractDefaults | None = None,
    ) -> TypeView:
        """Have every door refuse payloads of this type that do not fit the JSON Schema, from now on."""
        return self._send(_register(name, payload_schema, defaults))

    def drop_type(self, name: str) -> None:
        """Free a type from its contract, until a worker that has one starts."""
        self._send(_drop(name))


class AsyncContractCalls(AsyncSender):
    """Types, for asynchronous Python."""

    async def types(self) -> Sequence[TypeSummaryView]:
        """Read the types that have a contract, by name."""
        return await self._send(_all())

    async def get_type(self, name: str) -> TypeView:
        """Read a type's contract, with its earlier versions."""
        return await self._send(_get(name))

    async def register_type(
        self,
        name: str,
        payload_schema: Mapping[str, Any],
        defaults: ContractDefaults | None = None,
    ) -> TypeView:
        """Have every door refuse payloads of this type that do not fit the JSON Schema, from now on."""
        return await self._send(_register(name, payload_schema, defaults))

    async def drop_type(self, name: str) -> None:
        """Free a type from its contract, until a worker that has one starts."""
        await self._send(_drop(name))


def _all() -> Call[Sequence[TypeSummaryView]]:
    read = reader(TypeList)
    return Call(method="GET", path="/types", read=lambda response: read(response).items)


def _get(name: str) -> Call[TypeView]:
    return Call(method="GET", path=path_of("types", name), read=reader(TypeView))


def _register(
    name: str, payload_schema: Mapping[str, Any], defaults: ContractDefaults | None
) -> Call[TypeView]:
    body = {"payload_schema": payload_schema, "defaults": defaults or {}}
    return sent("PUT", path_of("types", name), body, TypeView, repeatable=True)


def _drop(name: str) -> Call[None]:
    # Not repeatable: the second try of one that was done finds nothing.
    path = path_of("types", name)
    return Call(method="DELETE", path=path, read=reader_of_nothing, repeatable=False)
