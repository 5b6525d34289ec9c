"""What the client returns of `taskmill.wire.feed`, which this is generated from."""

from __future__ import annotations

from taskmill.client.views.system import EventView


class ChangeView(EventView):
    """One change of a task, as in the feed."""

    cursor: str
    """where a reader that has seen it continues; unique for each change"""
    queue: str
    type: str
    name: str
    labels: dict[str, str]
