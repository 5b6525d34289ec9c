"""The options of a worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """A worker's name, its limits and its timeouts.

    It claims up to `claim_size` tasks at a time. When it stops, handlers have `grace_s` seconds to end; a handler
    that is cancelled has `stop_timeout_s` before it is abandoned. Results have at most `result_bytes`. With
    `until_idle` the worker ends when nothing is due.
    """

    name: str
    slots: int
    claim_size: int
    grace_s: float
    stop_timeout_s: float
    result_bytes: int
    until_idle: bool = False
