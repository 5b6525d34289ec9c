"""The methods for types and their contracts: which payloads are accepted."""

from collections.abc import Mapping, Sequence
from typing import Any

from taskmill.client import contracts
from taskmill.client.asynchronous.sending import AsyncSender
from taskmill.client.contracts import ContractDefaults
from taskmill.client.views.types import TypeSummaryView, TypeView


class AsyncContractCalls(AsyncSender):
    """Types and their contracts."""

    async def types(self) -> Sequence[TypeSummaryView]:
        """Read the types that have a contract, by name."""
        return await self._send(contracts.everything())

    async def get_type(self, name: str) -> TypeView:
        """Read a type's contract, with its earlier versions."""
        return await self._send(contracts.get(name))

    async def register_type(
        self,
        name: str,
        payload_schema: Mapping[str, Any],
        defaults: ContractDefaults | None = None,
    ) -> TypeView:
        """Refuse payloads of this type that do not fit the JSON Schema, at every entry point, from now on."""
        return await self._send(contracts.register(name, payload_schema, defaults))

    async def drop_type(self, name: str) -> None:
        """Drop a type's contract, until a worker that has one starts."""
        await self._send(contracts.drop(name))
