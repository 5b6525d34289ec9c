"""Of which queues and types many tasks are, and how much work it is to run them again: said before it is done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from taskmill.domain.activity import Flow
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.domain.system import Liveness, WorkerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What attempts of `tasks` take together, by what such attempts took lately, and the slots that run them.

    `unknown_types` have had no attempt lately, and are not in `seconds`.
    """

    tasks: int
    seconds: float
    slots: int
    unknown_types: tuple[str, ...] = ()

    @property
    def least_s(self) -> float | None:
        """How long it takes if all slots run nothing else; None without a slot."""
        return self.seconds / max(min(self.slots, self.tasks), 1) if self.slots else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroups:
    """How many tasks there are by (queue, type), and how many of them run.

    Without `is_whole` they are a part of the tasks, and there may be more queues and types.
    """

    tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    running: int = 0
    is_whole: bool = True

    @property
    def total(self) -> int:
        """The number of tasks."""
        return sum(self.tasks.values())

    @property
    def queues(self) -> list[tuple[str, int]]:
        """The queues with their tasks, the most first."""
        return _counted((queue, count) for (queue, _), count in self.tasks.items())

    @property
    def types(self) -> list[tuple[str, int]]:
        """The types with their tasks, the most first."""
        return _counted((type_, count) for (_, type_), count in self.tasks.items())

    def __add__(self, other: "TaskGroups") -> "TaskGroups":
        """Return both together; they are whole if both are."""
        return TaskGroups(
            tasks=Counter(self.tasks) + Counter(other.tasks),
            running=self.running + other.running,
            is_whole=self.is_whole and other.is_whole,
        )

    def work(self, total: int, flows: Mapping[str, Flow], workers: Iterable[WorkerState]) -> Work:
        """Return how much work one attempt of each of `total` tasks is, of which these are a part or all.

        Args:
            total: how many tasks there are, at least.
            flows: what happened lately, by type.
            workers: all of them; those that live, are not quiet and serve one of the pairs have the slots.
        """
        means = {name: flow.running.mean_s for name, flow in flows.items()}
        known = {name: mean for name, mean in means.items() if mean is not None}
        seconds = sum(count * known.get(name, 0.0) for name, count in self.types)
        return Work(
            tasks=max(total, self.total),
            seconds=seconds * max(total / max(self.total, 1), 1.0),
            slots=sum(one.slots for one in workers if self._is_served_by(one)),
            unknown_types=tuple(name for name, _ in self.types if name not in known),
        )

    def _is_served_by(self, worker: WorkerState) -> bool:
        if worker.state is not Liveness.ALIVE or worker.request is not None:
            return False
        return any(
            (not worker.queues or queue in worker.queues)
            and (EVERY_TYPE in worker.types or type_ in worker.types)
            for queue, type_ in self.tasks
        )


def _counted(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    for name, count in counts:
        found[name] += count
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
