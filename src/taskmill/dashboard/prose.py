"""Renders sentences that were written for a terminal: code between backticks, and times in UTC."""

import re

from markupsafe import Markup

from taskmill.dashboard.direction import without_turning

_PARTS = re.compile(
    r"`([^`]+)`|([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})((?:\.[0-9]{1,6})?)Z",
    re.ASCII,
)


def prose(sentence: str) -> Markup:
    """Return a sentence as HTML, with code as such, and with times that scripts show in the reader's zone."""
    # Names of things from outside are within it, and could change the direction of the rest.
    sentence = without_turning(sentence)
    shown, begin = Markup(), 0
    for found in _PARTS.finditer(sentence):
        shown += Markup("{}{}").format(sentence[begin : found.start()], _shown(found))
        begin = found.end()
    return shown + sentence[begin:]


def _shown(found: re.Match[str]) -> Markup:
    code, day, clock, fraction = found.groups()
    if code:
        return Markup("<code>{}</code>").format(code)
    return Markup('<time datetime="{0}T{1}{2}Z" data-full>{0} {1}</time>').format(
        day, clock, fraction
    )
