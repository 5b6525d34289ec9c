"""Contracts for tests: schemas, and the input limits of a process that knows them."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from taskmill.domain.contracts import TypeContract
from taskmill.operations import contracts as operations
from taskmill.operations.contracts import Contracts
from taskmill.storage.database import Database
from taskmill.wire.contracts.contract import compile_contract
from taskmill.wire.messages import MessageLimits
from taskmill.wire.rules import InputLimits
from tests.support.stage import Stage

NEEDS_TO: Final = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "minimum": 1}},
    "required": ["to"],
}
NEEDS_CC: Final = {"type": "object", "required": ["cc"]}
TYPE: Final = "send-email"


def a_contract(schema: object = NEEDS_TO, type: str = TYPE, **defaults: Any) -> TypeContract:  # noqa: A002, ANN401 - as in the domain
    """A contract that is valid as it is."""
    return TypeContract(type=type, schema=orjson.dumps(schema).decode(), defaults=defaults)


async def register(database: Database, worker: str, contracts: Iterable[TypeContract]) -> None:
    """Register contracts as a worker does that starts."""
    await operations.register(database, worker, list(map(compile_contract, contracts)))


async def registered(stage: Stage, *contracts: TypeContract) -> Contracts:
    """Register contracts, and return the known contracts of the stage's process."""
    await register(stage.database, "a worker", contracts)
    known = stage.service.contracts
    await known.refresh()
    return known


def limits_of(known: Contracts) -> InputLimits:
    """The limits of an entry point that checks contracts."""
    return InputLimits(contracts=known.by_type)


def message_limits_of(known: Contracts) -> MessageLimits:
    """The same for messages."""
    return MessageLimits(input=limits_of(known))
