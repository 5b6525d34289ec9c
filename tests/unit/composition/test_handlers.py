"""The pools of a worker: what runs where, and what can't be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from taskmill.app import Taskmill
from taskmill.composition.handlers import pools
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.errors import ConfigurationError
from taskmill.settings import load


@asynccontextmanager
async def context_with(*, emulated: str = "") -> AsyncIterator[ProcessContext]:
    app = Taskmill()

    @app.task("awaits", exclusive=True)
    async def awaits() -> None: ...

    @app.task("plain")
    def plain() -> None: ...

    @app.task("computes", isolation="process")
    def computes() -> None: ...

    context = ProcessContext(
        load(
            database_url="postgresql://nowhere/none",
            worker={"name": "w", "app": "shop:app", "threads": 7, "isolated": 3},
            emulation={"types": emulated},
        )
    )
    context.app = app
    try:
        yield context
    finally:
        await context.close()


async def test_each_way_of_running_has_a_pool_with_its_own_slots() -> None:
    async with context_with(emulated="other,awaits") as context:
        found = {pool.name: pool for pool in pools(context)}
    types = {name: set(pool.handlers.types) for name, pool in found.items()}
    assert types == {
        "w": {"awaits", "emulate", "http", "other"},
        "w-threads": {"plain"},
        "w-processes": {"computes"},
    }
    assert [pool.slots for pool in found.values()] == [1000, 7, 3]
    assert found["w"].handlers.is_exclusive("awaits")
    assert not found["w"].handlers.is_exclusive("emulate")
    assert [one.type for pool in found.values() for one in pool.contracts] == [
        "awaits",
        "plain",
        "computes",
    ]


@pytest.mark.parametrize(
    ("emulated", "words"),
    [("*", "name those to be emulated"), ("other,plain", "names plain"), ("computes", "computes")],
)
async def test_a_type_is_not_both_run_and_emulated(emulated: str, words: str) -> None:
    async with context_with(emulated=emulated) as context:
        with pytest.raises(ConfigurationError, match=words):
            pools(context)
