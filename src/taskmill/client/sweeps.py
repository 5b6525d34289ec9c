"""The calls that cancel or run again all matching tasks, step by step."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, TypedDict

from taskmill.client.calls import Call, sent
from taskmill.client.views.sweeps import SweepView

Sweep: TypeAlias = Literal["cancel", "retry"]
OnStep: TypeAlias = Callable[[SweepView], None] | None

_SUMMED: Final = ("matched", "changed", "cancel_requested")


class Selected(TypedDict, total=False):
    """Which tasks to cancel or to run again: those that match all given filters, or `all`.

    `status` without a value means `new` and `in_progress` for a cancel, `failed` for a retry; `error` is the
    `kind` of their latest error.
    """

    status: str | Iterable[str]
    queue: str
    type: str
    label: str | Iterable[str]
    name: str
    error: str
    created_after: datetime | str
    created_before: datetime | str
    all: bool


class Planned(Selected, total=False):
    """Which tasks, and at most how many, the oldest. Those to run again are due later, or one after the other."""

    limit: int
    delay_s: float
    per_second: float


def step(
    action: Sweep, selected: Selected, cursor: str | None, *, dry_run: bool
) -> Call[SweepView]:
    """Cancel or run again some of the matching tasks; with `dry_run` only count them."""
    body: dict[str, Any] = {**selected, "dry_run": dry_run, "cursor": cursor}
    for name in ("status", "label"):
        if isinstance(body.get(name), str):
            body[name] = [body[name]]
    # A repeated retry could run a task a third time that has failed again meanwhile.
    repeatable = dry_run or action == "cancel"
    return sent("POST", f"/tasks/{action}", body, SweepView, repeatable=repeatable)


def added(before: SweepView | None, done: SweepView) -> SweepView:
    """Add a step to those before it."""
    if before is None:
        return done
    sums = {name: getattr(before, name) + getattr(done, name) for name in _SUMMED}
    return done.replace(**sums, groups=before.groups)
