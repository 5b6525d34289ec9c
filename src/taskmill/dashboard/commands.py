"""Replaces commands in sentences that were written for a terminal by what a page has for them.

A command without a button or a page stays what it is.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from markupsafe import Markup

from taskmill.dashboard.prose import prose

Href = Callable[[str, list[tuple[str, object]]], str]
Text = Callable[..., str]

_COMMAND: Final = re.compile(r"`taskmill (task|queue|worker) ([a-z]+) ([^`]+)`")
_BUTTONS: Final[Mapping[tuple[str, str], str]] = {
    ("task", "retry"): "task.retry",
    ("task", "cancel"): "task.cancel",
    ("task", "reschedule"): "task.reschedule.now",
    ("queue", "resume"): "queues.resume",
    ("worker", "resume"): "worker.resume",
}
"""The text of the button that does what a command does."""

_PAGES: Final[Mapping[str, str]] = {"queue": "/ui/queues", "worker": "/ui/workers"}
"""Where the buttons are that the page itself does not have."""

_NO_NAME: Final = "NAME"


def with_buttons(t: Text, href: Href, sentence: str) -> Markup:
    """Return a sentence as HTML, with the names of buttons where it has commands."""
    shown, begin = Markup(), 0
    for found in _COMMAND.finditer(sentence):
        key = _BUTTONS.get((found[1], found[2]))
        if key is None:
            continue
        shown += prose(sentence[begin : found.start()])
        shown += _button(_named(t, t(key)), href, found[1], found[3])
        begin = found.end()
    return shown + prose(sentence[begin:])


def _named(t: Text, label: str) -> str:
    key = "action.name"
    return t(key, name=label)


def _button(label: str, href: Href, about: str, name: str) -> Markup:
    page = _PAGES.get(about)
    if page is None:
        return Markup("<b>{}</b>").format(label)
    pairs: list[tuple[str, object]] = [] if name == _NO_NAME else [("name", name)]
    return Markup('<a href="{}">{}</a>').format(href(page, pairs), label)
