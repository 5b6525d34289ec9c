"""Templates are compiled when there is a visitor."""

import asyncio
from collections.abc import Iterator

import pytest
from jinja2 import DictLoader

from taskmill.dashboard.rendering import TemplateCompiler, environment
from tests.support.api import LogLines, log_lines
from tests.support.polling import eventually

__all__ = ["log_lines"]


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
    return {name for _, name in list(cache)}


async def test_all_templates_are_compiled_after_the_first_visit_and_none_before() -> None:
    compiler, stop = TemplateCompiler(pause_s=0), asyncio.Event()

    async def are_compiled() -> bool:
        return compiled() == set(environment().list_templates())

    async with asyncio.TaskGroup() as group:
        service = group.create_task(compiler.run(stop))
        await asyncio.sleep(0.05)
        assert compiled() == set()
        await compiler.begin_visit()
        compiler.end_visit()
        await eventually(are_compiled, "all templates to be compiled")
        await compiler.begin_visit()
        compiler.end_visit()
        assert not service.done()
        stop.set()


async def test_a_stop_before_any_visit_compiles_nothing() -> None:
    compiler, stop = TemplateCompiler(), asyncio.Event()
    stop.set()
    async with asyncio.timeout(10):
        await compiler.run(stop)
    assert environment.cache_info().currsize == 0


async def test_a_template_that_is_broken_is_logged_and_others_are_compiled(
    monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    loader = DictLoader({"a.html": "{{ 1 | none_such }}", "b.html": "b", "a.html.swp": "{{"})
    monkeypatch.setattr(environment(), "loader", loader)
    compiler, stop = TemplateCompiler(pause_s=0), asyncio.Event()

    async def is_compiled() -> bool:
        return compiled() == {"b.html"}

    async with asyncio.TaskGroup() as group:
        service = group.create_task(compiler.run(stop))
        compiler.end_visit()
        await eventually(is_compiled, "the other one")
        assert not service.done()
        stop.set()
    [line] = log_lines.named("template.broken")
    assert line["template"] == "a.html"


async def test_a_stop_ends_the_compiling() -> None:
    compiler, stop = TemplateCompiler(), asyncio.Event()

    async def has_begun() -> bool:
        return bool(compiled())

    async with asyncio.TaskGroup() as group:
        group.create_task(compiler.run(stop))
        compiler.end_visit()
        await eventually(has_begun, "the first template")
        stop.set()
    assert len(compiled()) < len(environment().list_templates())
