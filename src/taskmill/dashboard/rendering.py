"""Renders templates, whole or one block of them, with the filters and globals that all share."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from taskmill.dashboard import direction, json_tree, wording
from taskmill.dashboard.navigation import LISTS, NAVIGATION
from taskmill.dashboard.preferences import THEMES
from taskmill.dashboard.prose import prose
from taskmill.dashboard.texts import LANGUAGES
from taskmill.dashboard.window_pairs import CARRYING
from taskmill.domain.attention_rules import is_late
from taskmill.domain.lifecycle import Reason
from taskmill.wire.basics import format_duration

_TEMPLATES: Final = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return the environment of all templates; they are read and compiled once."""
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


def prepare() -> None:
    """Compile all templates, so that the first request of a page need not wait: 64 ms for the Overview."""
    for name in environment().list_templates():
        environment().get_template(name)


def render(name: str, values: Mapping[str, Any], block: str | None) -> str:
    """Render a template with values, or only one of its blocks."""
    template = environment().get_template(name)
    if block is None:
        return template.render(values)
    return "".join(template.blocks[block](template.new_context(dict(values))))
