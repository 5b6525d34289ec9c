"""`Taskmill`: the task types of a program, each with its handler and the defaults of its tasks.

It runs nothing: that is done by a worker started with `--app module:name`.
"""

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, Unpack

from taskmill.app.binding import Binding, binding_of
from taskmill.app.schedules import OPTIONS, DeclaredSchedule, ScheduleOptions, declared
from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import InvalidInput
from taskmill.domain.retry import RetryPolicy
from taskmill.wire.fields import NAME_WORDS, is_name
from taskmill.wire.retry import spec_of
from taskmill.wire.tasks import to_draft

P = ParamSpec("P")
R = TypeVar("R")

Isolation: TypeAlias = Literal["process"]
"""How a handler is isolated from the others."""

BUILT_IN: Final = frozenset({"emulate", "http"})
"""The types that every worker has a handler for."""


class TaskType(Generic[P, R]):
    """One type of tasks. Calling it calls its function at once, without a task."""

    __name__: str

    def __init__(
        self,
        name: str,
        function: Callable[P, R],
        *,
        options: Mapping[str, Any],
        isolation: Isolation | None,
        exclusive: bool,
    ) -> None:
        self.name = name
        self.schedule: DeclaredSchedule | None = None
        self.function = function
        self.options = options
        self.isolation = isolation
        self.is_exclusive = exclusive
        self.is_async = _is_async(function)
        self.binding: Binding = binding_of(function, name)
        self.json_schema()  # errors in it show where the type is declared
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no task is made."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task type {self.name}>"

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the payload that its tasks must have."""
        return self.binding.json_schema(self.name)

    def contract(self) -> TypeContract:
        """Return the schema by which entry points refuse tasks, and the defaults of requests."""
        schema = json.dumps(self.json_schema())
        return TypeContract(type=self.name, schema=schema, defaults=self.options)

    def request(self, value: object = None, /, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the payload's fields
        """Return a request for a task of this type, for `POST /tasks` and the clients' `create`.

        The payload is given by its fields, or as the one object that the function takes. More fields (a name,
        labels, a time) can be added to the result:

            client.create(**send_email.request(to="ada@example.org"))
            client.create(**send_email.request(to="ada@example.org") | {"delay_s": 60})

        Raises:
            PayloadRefused: The payload does not fit the function.
        """
        payload = self.binding.payload(fields if value is None else value)
        return {"name": self.name, "type": self.name, **self.options, "payload": payload}


class Taskmill:
    """The task types of a program.

        app = Taskmill()

        @app.task("send-email", max_attempts=5, timeout=30)
        async def send_email(to: str, subject: str = "Hello") -> None: ...

    A worker runs them when it is started with `taskmill run worker --app my.module:app`.

    An app that declares schedules needs a `name`, under which they are managed: 1 to 63 characters a-z, 0-9, '.',
    '_' or '-'. All of its workers, of every version, have the same one, and no other app has it.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not is_name(name):
            raise ValueError(f"expected {NAME_WORDS}, got {name!r}")
        self.name = name
        self._types: dict[str, TaskType[..., Any]] = {}

    def task(
        self,
        name: str | None = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        max_losses: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        isolation: Isolation | None = None,
        exclusive: bool = False,
        **schedule: Unpack[ScheduleOptions],
    ) -> Callable[[Callable[P, R]], TaskType[P, R]]:
        """Make a function the handler of a task type, which is called `name` or like the function.

        Async functions run in the worker's event loop, plain ones in threads; with `isolation="process"` either
        runs in a process of its own, which is killed when the attempt's time is over. The return value is the
        task's result. An `exclusive` one is stopped as soon as the worker's lease could have ended.

        Args:
            name: 1 to 63 characters a-z, 0-9, '.', '_' or '-'.
            queue: Where its tasks wait.
            priority: 0 to 9, the most urgent.
            max_attempts: How often a task may fail, the last one included.
            max_losses: How often it is run again after its worker was lost; 0 is at most once.
            retry: When a failed attempt is tried again.
            timeout: How long one attempt may run, in seconds when it is a number.
            isolation: None or `"process"`.
            exclusive: Whether two attempts must not overlap, as far as a worker can prevent it.
            schedule: When it has tasks by itself (`cron`, `every` or `at`, `zone`, `overlap`…), without a payload.

        Raises:
            TypeError: The function can't be a handler, or the parentheses are missing.
            ValueError: An option is out of its bounds, or the name is bad or taken.
        """
        _check_kinds(name, retry, schedule)
        given = {
            "queue": queue,
            "priority": priority,
            "max_attempts": max_attempts,
            "max_losses": max_losses,
            "retry": None if retry is None else spec_of(retry),
            "timeout_s": timeout.total_seconds() if isinstance(timeout, timedelta) else timeout,
        }
        options = {key: value for key, value in given.items() if value is not None}

        def register(function: Callable[P, R]) -> TaskType[P, R]:
            chosen = name or function.__name__
            self._check(chosen, options, isolation)
            made = TaskType(
                chosen, function, options=options, isolation=isolation, exclusive=exclusive
            )
            made.schedule = self._schedule(made, schedule)
            self._types[chosen] = made
            return made

        return register

    def get(self, name: str) -> TaskType[..., Any] | None:
        """Return a type by its name, None when there is none."""
        return self._types.get(name)

    def __iter__(self) -> Iterator[TaskType[..., Any]]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)

    @property
    def schedules(self) -> list[DeclaredSchedule]:
        """The schedules that its types declare."""
        return [one.schedule for one in self if one.schedule is not None]

    def _schedule(
        self, made: "TaskType[..., Any]", schedule: ScheduleOptions
    ) -> DeclaredSchedule | None:
        if not schedule:
            return None
        if self.name is None:
            raise ValueError(
                f'type {made.name} has a schedule, so its app needs a name, as in Taskmill("shop")'
            )
        if (refusal := made.binding.refusal_of_nothing()) is not None:
            raise TypeError(
                f"tasks of the schedule of type {made.name} have no payload, which does not fit ({refusal}): give "
                "its parameters defaults"
            )
        return declared(made.name, schedule, made.options)

    def _check(self, name: str, options: Mapping[str, Any], isolation: str | None) -> None:
        if name in BUILT_IN:
            raise ValueError(f"type {name} is built in: choose another name")
        if name in self._types:
            raise ValueError(f"type {name} has a handler already: {self._types[name].function}")
        if isolation not in (None, "process"):
            raise ValueError(f'expected isolation "process" or none, got {isolation!r}')
        try:
            to_draft({"name": name, "type": name, **options}, source="app")
        except InvalidInput as error:
            raise ValueError(f"type {name}: {error}") from None


def _check_kinds(name: object, retry: object, schedule: Mapping[str, object]) -> None:
    """Refuse errors that would show late or never, such as `@app.task` without parentheses."""
    if not isinstance(name, str | None):
        raise TypeError(f"expected the name of a task type, got {name!r}: write @app.task()")
    if not isinstance(retry, RetryPolicy | None):
        raise TypeError(f"expected a RetryPolicy, got {retry!r}")
    if unknown := schedule.keys() - OPTIONS:
        raise TypeError(f"task() got an unexpected keyword argument {min(unknown)!r}")


def _is_async(function: Callable[..., object]) -> bool:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function} yields: expected a function that returns")
    if not inspect.isroutine(function):
        raise TypeError(f"expected a function, got {function!r}")
    # A decorator may be a plain function that returns the coroutine of an async one.
    return inspect.iscoroutinefunction(inspect.unwrap(function))
