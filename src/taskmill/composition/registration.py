"""Registers the contracts of a worker's types, when the worker starts."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress

import asyncpg

from taskmill.domain.contracts import CompiledContract, TypeContract
from taskmill.domain.errors import ContractRefused, TypeLimitReached, Unavailable
from taskmill.observability.logs import get_logger
from taskmill.operations import contracts
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage.database import Database
from taskmill.wire.contracts.contract import compile_contract

log = get_logger(__name__)

_LONGEST_PAUSE_S = 5.0
# Tasks without a policy take it at their first claim from what is registered by then.
_LONGEST_WAIT_S = 5.0


class Registration:
    """Registers contracts once, as soon as the database takes them.

    One that does not compile is left out, with a warning: then only the worker checks its payloads.
    """

    def __init__(self, database: Database, worker: str, wanted: Sequence[TypeContract]) -> None:
        self._database = database
        self._worker = worker
        self._wanted = [compiled for one in wanted for compiled in _compiled(one)]
        self._is_over = asyncio.Event()

    async def wait(self) -> None:
        """Wait until they are registered or refused; a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT_S):
                await self._is_over.wait()

    async def register_until(self, stop: asyncio.Event) -> None:
        """Register them, trying again until it is done or stopped."""
        try:
            await self._register_until(stop)
        finally:
            self._is_over.set()

    async def _register_until(self, stop: asyncio.Event) -> None:
        failures = 0
        while self._wanted and not stop.is_set():
            try:
                await contracts.register(self._database, self._worker, self._wanted)
            except ContractRefused as error:
                log.warning("contract.refused", type=error.type, error=str(error))
                self._wanted = [one for one in self._wanted if one.type != error.type]
            except TypeLimitReached as error:
                log.warning("contract.refused", worker=self._worker, error=str(error))
                return
            except (Unavailable, asyncpg.PostgresError) as error:
                failures += 1
                log.warning("contract.delayed", worker=self._worker, error=str(error))
                await pause(stop, backoff_s(failures, first=0.2, longest=_LONGEST_PAUSE_S))
            else:
                return


def _compiled(contract: TypeContract) -> Iterator[CompiledContract]:
    """Yield the contract, or nothing if it does not compile."""
    try:
        yield compile_contract(contract)
    except ContractRefused as error:
        log.warning("contract.refused", type=error.type, error=str(error))
