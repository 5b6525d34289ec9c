"""Templates are compiled when there is a visitor."""

import asyncio
from collections.abc import Iterator

import pytest

from taskmill.dashboard.rendering import TemplateCompiler, environment
from tests.support.polling import eventually


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    environment.cache_clear()
    yield
    environment.cache_clear()


def compiled() -> set[object]:
    """The names of the templates in memory, without making their environment."""
    if not environment.cache_info().currsize:
        return set()
    cache = environment().cache
    assert cache is not None
    return {name for _, name in cache}


async def test_all_templates_are_compiled_after_the_first_visit_and_none_before() -> None:
    compiler, stop = TemplateCompiler(), asyncio.Event()

    async def are_compiled() -> bool:
        return compiled() == set(environment().list_templates())

    async with asyncio.TaskGroup() as group:
        service = group.create_task(compiler.run(stop))
        await asyncio.sleep(0.05)
        assert compiled() == set()
        compiler.note_visit()
        await eventually(are_compiled, "all templates to be compiled")
        compiler.note_visit()
        assert not service.done()
        stop.set()


async def test_a_stop_before_any_visit_compiles_nothing() -> None:
    compiler, stop = TemplateCompiler(), asyncio.Event()
    stop.set()
    async with asyncio.timeout(10):
        await compiler.run(stop)
    assert environment.cache_info().currsize == 0
