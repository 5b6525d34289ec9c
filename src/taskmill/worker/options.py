"""What a worker is made with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """A worker's name, how much it does at once, and for how long it waits for handlers.

    It claims up to `claim_size` tasks at a time. When it stops, handlers have `grace_s` seconds to end; one that
    was asked to stop has `stop_timeout_s` before it is abandoned. Results have at most `result_bytes`. A worker
    that works `until_idle` ends when nothing is due.
    """

    name: str
    slots: int
    claim_size: int
    grace_s: float
    stop_timeout_s: float
    result_bytes: int
    until_idle: bool = False
