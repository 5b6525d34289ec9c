"""What the client returns of `taskmill.wire.batches`, which this is generated from."""

from __future__ import annotations

from uuid import UUID

from taskmill.client.view import View


class TaskWarning(View):
    """Why nothing will be delivered to the callback_url of a task."""

    index: int
    """which task of the array, from 0"""
    warning: str


class BatchCreated(View):
    """The tasks of an array, in its order."""

    ids: list[UUID]
    warnings: list[TaskWarning] = []
    """
    where it can be seen that nothing will be delivered to a callback_url, once for each host, 20 at most; left
    out when there are none
    """
