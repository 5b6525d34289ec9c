"""Task types: made from functions, and refused ones."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

import taskmill
from taskmill import PayloadRefused, RetryPolicy, Taskmill
from taskmill.wire.contracts.contract import compile_contract


def function(a: int = 1) -> int:
    """Double."""
    return 2 * a


def test_a_type_is_called_as_its_function() -> None:
    app = Taskmill()
    made = app.task("doubles")(function)
    assert made(4) == 8
    assert (made.name, made.__name__, made.__doc__) == ("doubles", "function", "Double.")
    assert app.get("doubles") is made
    assert list(app) == [made]


async def test_an_async_one_is_awaited() -> None:
    app = Taskmill()

    @app.task()
    async def waits(s: float) -> str:
        await asyncio.sleep(s)
        return "waited"

    assert waits.is_async
    assert await waits(0) == "waited"
    assert waits.name == "waits"


def test_a_request_and_a_contract_have_the_options_of_the_type() -> None:
    app = Taskmill()
    made = app.task(
        "doubles",
        queue="numbers",
        priority=7,
        max_attempts=3,
        max_losses=0,
        timeout=timedelta(minutes=1),
        retry=RetryPolicy(base=timedelta(seconds=2)),
    )(function)
    assert made.request(a=5) == {
        "name": "doubles",
        "type": "doubles",
        "queue": "numbers",
        "priority": 7,
        "max_attempts": 3,
        "max_losses": 0,
        "timeout_s": 60.0,
        "retry": {"base_s": 2.0, "factor": 2.0, "max_s": 3600.0, "jitter": 0.1},
        "payload": {"a": 5},
    }
    with pytest.raises(PayloadRefused, match="/payload/a"):
        made.request(a="many")
    options = {**made.request(a=5)}
    for own in ("name", "type", "payload"):
        del options[own]
    assert json.loads(compile_contract(made.contract()).defaults) == options


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("Bad Name", {}, "/type: expected 1 to 63 characters"),
        ("emulate", {}, "built in"),
        ("http", {}, "built in"),
        ("taken", {}, "has a handler already"),
        ("x", {"queue": "No!"}, "/queue"),
        ("x", {"max_attempts": 0}, "/max_attempts"),
        ("x", {"timeout": -1}, "/timeout_s"),
        ("x", {"priority": 10}, "/priority"),
        ("x", {"isolation": "thread"}, 'expected isolation "process"'),
        ("x", {"retry": RetryPolicy(factor=0)}, "/retry/factor"),
    ],
)
def test_bad_names_and_options_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    app = Taskmill()
    app.task("taken")(function)
    with pytest.raises(ValueError, match=re.escape(words)):
        app.task(name, **options)(function)
    assert len(app) == 1


def test_a_decorator_without_parentheses_is_refused() -> None:
    app: Any = Taskmill()
    with pytest.raises(TypeError, match=r"write @app.task\(\)"):
        app.task(function)


def test_a_retry_that_is_no_policy_is_refused() -> None:
    app: Any = Taskmill()
    with pytest.raises(TypeError, match="expected a RetryPolicy"):
        app.task("x", retry={"base_s": 1})


def test_what_is_no_function_is_refused() -> None:
    def yields() -> Iterator[int]:
        yield 1

    async def yields_too() -> AsyncIterator[int]:
        yield 1

    class Called:
        def __call__(self) -> None: ...

    for refused in (yields, yields_too, Called(), Called):
        with pytest.raises(TypeError, match="expected a function"):
            Taskmill().task("x")(refused)


def test_the_root_package_has_all_that_programs_need() -> None:
    for name in taskmill.__all__:
        assert getattr(taskmill, name)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = taskmill.nothing_such
