"""What the client returns of `taskmill.wire.sweeps`, which this is generated from."""

from __future__ import annotations

from taskmill.client.view import View


class TaskGroupView(View):
    """How many tasks are of a queue and a type."""

    queue: str
    type: str
    tasks: int


class TaskGroupsView(View):
    """Of which queues and types tasks are."""

    items: list[TaskGroupView]
    """the largest groups first, 100 at most"""
    more: int
    """how many groups are left out"""
    running: int
    """how many of the tasks run"""
    are_complete: bool
    """whether all tasks were read; of very many only the oldest and some of the newest are"""


class SweepView(View):
    """What a step did, in tasks. With a `next_cursor` there is more to do: send the request again with it."""

    matched: int
    """tasks that fitted"""
    changed: int
    """of these, tasks that are cancelled now, or wait for a new run"""
    cancel_requested: int
    """of these, running tasks whose worker was asked to stop them"""
    dry_run: bool
    is_complete: bool
    """every task that fitted at the beginning was seen, or as many as the `limit`"""
    next_cursor: str | None
    """null when it is complete"""
    groups: TaskGroupsView | None = None
    """of which queues and types they are: in the first step with `dry_run`, else null"""
