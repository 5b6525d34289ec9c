"""What the client returns of `taskmill.wire.queues`, which this is generated from."""

from __future__ import annotations

from datetime import datetime

from taskmill.client.view import View
from taskmill.client.views.waiting import WaitingView
from taskmill.domain.lifecycle import Status


class QueueView(View):
    """A queue and what is in it."""

    name: str
    paused: bool
    paused_at: datetime | None
    created_at: datetime
    keep: str | None = None
    """how long it keeps its ended tasks, an ISO 8601 duration; null: as long as the settings say"""
    counts: dict[Status, int]
    """tasks by status; every status is there"""
    waiting: WaitingView | None = None
    """what those wait for that are new; counted up to about 10,000 each"""
    oldest_due_at: datetime | None
    """
    since when the longest waiting due task could have run, its creation at the earliest; null if none waits
    """


class QueueList(View):
    """All queues, by name."""

    items: list[QueueView]
