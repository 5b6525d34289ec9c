"""The methods that change tasks which exist: cancel, retry and reschedule, one or many."""

from typing import Unpack

from taskmill.client import calls, sweeps
from taskmill.client.calls import Rescheduled, TaskId
from taskmill.client.filters import reread
from taskmill.client.sweeps import OnStep, Planned, Selected, Sweep
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.sweeps import SweepView
from taskmill.client.views.tasks import TaskView


class SteeringCalls(Sender):
    """Changes of tasks that exist."""

    def cancel(self, task_id: TaskId, *, version: int | None = None) -> TaskView:
        """Cancel a waiting task at once; ask a running one to stop (`cancel_requested`).

        With `version`, only if the task has that version, else `VersionMismatch`.
        """
        return self._send(calls.cancel(task_id, version))

    def retry(self, task_id: TaskId, *, version: int | None = None) -> TaskView:
        """Start a new run of a finished task. With `version` as `cancel`."""
        return self._send(calls.retry(task_id, version))

    def reschedule(
        self, task_id: TaskId, *, version: int | None = None, **changes: Unpack[Rescheduled]
    ) -> TaskView:
        """Give a waiting task another `queue`, `priority` or `run_at`; `delay_s=0` makes it due at once.

        With `version` as `cancel`. Raises `TransitionRefused` when it runs or has ended.
        """
        return self._send(calls.reschedule(task_id, changes, version))

    def cancel_matching(
        self, *, dry_run: bool = False, on_step: OnStep = None, **selected: Unpack[Selected]
    ) -> SweepView:
        """Cancel all tasks that match, waiting or running; with `dry_run` only count them.

        It takes as many requests as it needs; `on_step` gets the sums after each.
        """
        return self._sweep("cancel", selected, on_step, dry_run=dry_run)

    def retry_matching(
        self, *, dry_run: bool = False, on_step: OnStep = None, **selected: Unpack[Planned]
    ) -> SweepView:
        """Run finished tasks that match again (failed ones, without a `status`); like `cancel_matching`.

        They are due at once, or after `delay_s`; one after the other with `per_second`.
        """
        return self._sweep("retry", selected, on_step, dry_run=dry_run)

    def _sweep(
        self, action: Sweep, selected: Selected, on_step: OnStep, *, dry_run: bool
    ) -> SweepView:
        total: SweepView | None = None
        wanted = reread(selected)
        while total is None or not total.is_complete:
            cursor = None if total is None else total.next_cursor
            step = self._send(sweeps.step(action, wanted, cursor, dry_run=dry_run))
            total = sweeps.added(total, step)
            if on_step is not None:
                on_step(total)
        return total
