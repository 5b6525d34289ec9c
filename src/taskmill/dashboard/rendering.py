"""Renders templates, whole or one block of them, with the filters and globals that all share."""

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taskmill.dashboard import direction, json_tree, wording
from taskmill.dashboard.navigation import LISTS, NAVIGATION
from taskmill.dashboard.preferences import THEMES
from taskmill.dashboard.prose import prose
from taskmill.dashboard.texts import LANGUAGES
from taskmill.dashboard.window_pairs import CARRYING
from taskmill.domain.attention_rules import is_late
from taskmill.domain.lifecycle import Reason
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import wake_on
from taskmill.wire.basics import format_duration

if TYPE_CHECKING:
    from jinja2 import Environment

log = get_logger(__name__)

_PAUSE_S: Final = 0.02
_TEMPLATES: Final = Path(__file__).parent / "templates"


@cache
def environment() -> "Environment":
    """Return the environment of all templates; they are read and compiled once.

    The library is imported for the first page: many have no visitors, and it takes 2 MB.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    shared = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    shared.filters.update(
        iso=wording.iso,
        prose=prose,
        utc=wording.utc,
        short_id=wording.short_id,
        shortened=wording.shortened,
        isolated=direction.isolated,
        balanced=direction.balanced,
        plain=direction.without_turning,
        theirs=direction.theirs,
        duration_s=wording.duration_s,
        iso_duration=format_duration,
    )
    shared.globals.update(
        json_tree=json_tree.tree,
        languages=LANGUAGES,
        themes=THEMES,
        navigation=NAVIGATION,
        carrying=CARRYING,
        is_late=is_late,
        lists=LISTS,
        reasons=frozenset(Reason),
    )
    return shared


class TemplateCompiler:
    """A service that compiles all templates on a thread after the first visit, so that other pages need not wait.

    That takes a second of a processor, in steps. The first page compiles what it needs itself.
    """

    name = "template-compiler"

    def __init__(self, *, pause_s: float = _PAUSE_S) -> None:
        """Pause for so long after each one: others are served by the same interpreter."""
        self._pause_s = pause_s
        self._visited = asyncio.Event()

    async def begin_visit(self) -> None:
        """Have the library imported, on a thread."""
        if not self._visited.is_set():
            await asyncio.to_thread(environment)

    def end_visit(self) -> None:
        """Begin to compile, unless it has."""
        self._visited.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Compile after a visit, then wait until stopped."""
        async with wake_on(stop, self._visited.set):
            await self._visited.wait()
            if not stop.is_set():
                await self._compile(stop)
            await stop.wait()

    async def _compile(self, stop: asyncio.Event) -> None:
        for name in environment().list_templates(extensions=["html"]):
            if stop.is_set():
                return
            try:
                await asyncio.to_thread(environment().get_template, name)
            except Exception as error:  # noqa: BLE001 - another version was installed meanwhile, or it is being edited
                log.warning("template.broken", template=name, error=repr(error))
            await pause(stop, self._pause_s)


def render(name: str, values: Mapping[str, Any], block: str | None) -> str:
    """Render a template with values, or only one of its blocks."""
    template = environment().get_template(name)
    if block is None:
        return template.render(values)
    return "".join(template.blocks[block](template.new_context(dict(values))))
