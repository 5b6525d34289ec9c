"""What the client returns of `taskmill.wire.waiting`, which this is generated from."""

from __future__ import annotations

from taskmill.client.view import View


class WaitingCountView(View):
    """A number of tasks, counted up to a bound."""

    tasks: int
    are_more: bool
    """there are more than that"""


class WaitingView(View):
    """New tasks by what they wait for."""

    ready: WaitingCountView
    """due, and a live worker serves them"""
    scheduled: WaitingCountView
    """due later, for the first time"""
    retrying: WaitingCountView
    """due later, after a failed attempt"""
    held: WaitingCountView
    """due, but their queue is paused, or no live worker serves them"""
