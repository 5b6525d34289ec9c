"""Types as operators see them: their contract, what runs them, and what happened to their tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from taskmill.domain.activity import OTHER_TYPES, Flow
from taskmill.domain.contracts import RegisteredType
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.domain.lifecycle import EventType
from taskmill.domain.system import Liveness, WorkerState


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeState:
    """A type, its contract if one may be seen, the live workers that run it, and what happened lately."""

    name: str
    contract: RegisteredType | None = None
    workers: Sequence[WorkerState] = ()
    flow: Flow = field(default_factory=Flow)

    @property
    def worker_count(self) -> int:
        """How many run it: one that pulls over HTTP has a lease for each claim, and counts by its name."""
        return len({one.name if one.remote else one.id for one in self.workers})

    @property
    def ended(self) -> int:
        """How many of its attempts ended for good."""
        return self.flow.counts.get(EventType.SUCCEEDED, 0) + self.failed

    @property
    def failed(self) -> int:
        """How many of these failed."""
        return self.flow.counts.get(EventType.FAILED, 0)


def runs_type(worker: WorkerState, name: str) -> bool:
    """Return whether a worker is alive and runs tasks of a type."""
    is_alive = worker.state is Liveness.ALIVE
    return is_alive and (name in worker.types or EVERY_TYPE in worker.types)


def flows_by_type(groups: Mapping[tuple[str, str], Flow]) -> dict[str, Flow]:
    """Return what happened by type, of what happened by queue and type. Types counted together are left out."""
    flows: dict[str, list[Flow]] = {}
    for (_, name), flow in groups.items():
        if name != OTHER_TYPES:
            flows.setdefault(name, []).append(flow)
    return {name: Flow.total(parts) for name, parts in flows.items()}


def type_states(
    contracts: Iterable[RegisteredType],
    workers: Sequence[WorkerState],
    groups: Mapping[tuple[str, str], Flow],
) -> list[TypeState]:
    """Return every type that has a contract, that a live worker names, or to which something happened; by name."""
    registered = {one.name: one for one in contracts}
    flows = flows_by_type(groups)
    served = {name for one in workers if one.state is Liveness.ALIVE for name in one.types}
    names = sorted((registered.keys() | flows.keys() | served) - {EVERY_TYPE})
    return [
        TypeState(
            name=name,
            contract=registered.get(name),
            workers=[one for one in workers if runs_type(one, name)],
            flow=flows.get(name, Flow()),
        )
        for name in names
    ]
