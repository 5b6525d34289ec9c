"""Who makes asyncio tasks: TaskGroups, and the few who own theirs in another way.

`asyncio.create_task` is banned by ruff (TID251), which does not see methods: `loop.create_task` would pass it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src/taskmill"

OWNERS: Final = {
    "worker/pool.py": "a TaskGroup waits for abandoned handlers for ever; the pool detaches them",
    "api/long_polling.py": "a TaskGroup wraps what its block raises; the task is cancelled, and waited for",
    "api/pulling.py": "as api/long_polling.py; both tasks are cancelled and waited for before it returns",
}
"""Files that may have tasks of a loop's own, and why."""


def strangers(tree: ast.Module) -> Iterator[int]:
    """The lines that call `create_task` of what is neither a TaskGroup nor a module."""
    allowed = set(_groups(tree)) | set(_modules(tree))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "create_task" and ast.unparse(node.func.value) not in allowed:
            yield node.lineno


def _groups(tree: ast.Module) -> Iterator[str]:
    """What is bound to a TaskGroup: by `async with`, by an assignment, or as a parameter."""
    for node in ast.walk(tree):
        match node:
            case ast.withitem(context_expr=made, optional_vars=ast.expr() as bound) if _is_new(
                made
            ):
                yield ast.unparse(bound)
            case ast.Assign(targets=[bound], value=made) if _is_new(made):
                yield ast.unparse(bound)
            case ast.arg(arg=name, annotation=ast.expr() as kind) if _names_it(kind):
                yield name
            case _:
                pass


def _is_new(made: ast.expr) -> bool:
    """Whether it makes a TaskGroup, at once or to be entered by an exit stack."""
    match made:
        case ast.Await(
            value=ast.Call(func=ast.Attribute(attr="enter_async_context"), args=[inner])
        ):
            return _is_new(inner)
        case ast.Call(func=called):
            return _names_it(called)
        case _:
            return False


def _names_it(expression: ast.expr) -> bool:
    return ast.unparse(expression).strip("'\"") == "asyncio.TaskGroup"


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskmill"):
            yield from (alias.asname or alias.name for alias in node.names)


def test_asyncio_tasks_belong_to_task_groups() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if any(strangers(ast.parse(path.read_text("utf-8"))))
    }
    assert found == set(OWNERS), "use a TaskGroup, or say here who owns the task"


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.get_running_loop().create_task(work())",
        "loop = asyncio.get_running_loop()\nloop.create_task(work())",
        "self._loop.create_task(work())",
        "def begin(loop: asyncio.AbstractEventLoop):\n    loop.create_task(work())",
    ],
)
def test_a_task_of_a_loop_is_found(code: str) -> None:
    assert list(strangers(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "async with asyncio.TaskGroup() as group:\n    group.create_task(work())",
        "self._duties = asyncio.TaskGroup()\nself._duties.create_task(work())",
        "def begin(group: asyncio.TaskGroup):\n    group.create_task(work())",
        "self._late = await self._open.enter_async_context(asyncio.TaskGroup())\nself._late.create_task(work())",
        "from taskmill.api import hot\nhot.create_task(context)",
    ],
)
def test_a_task_of_a_group_is_not(code: str) -> None:
    assert not list(strangers(ast.parse(code)))
