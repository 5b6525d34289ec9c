"""What is owned is entered in order, and left in reverse."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from taskmill.runtime.context_owner import ContextOwner


@pytest.fixture
def steps() -> list[str]:
    return []


def noted(
    steps: list[str], name: str, *, trouble: Exception | None = None
) -> AbstractAsyncContextManager[None]:
    """A context manager that notes when it is entered and left; with trouble it can't be entered."""

    @asynccontextmanager
    async def note() -> AsyncIterator[None]:
        if trouble is not None:
            raise trouble
        steps.append(f"enter {name}")
        try:
            yield
        except ValueError as error:
            steps.append(f"{name} sees {error}")
            raise
        finally:
            steps.append(f"leave {name}")

    return note()


async def test_the_last_that_is_entered_is_left_first(steps: list[str]) -> None:
    async with ContextOwner(noted(steps, "a"), noted(steps, "b")) as owner:
        assert isinstance(owner, ContextOwner)
        steps.append("work")
    assert steps == ["enter a", "enter b", "work", "leave b", "leave a"]


async def test_all_see_the_error_that_ends_the_work(steps: list[str]) -> None:
    with pytest.raises(ValueError, match="no"):
        async with ContextOwner(noted(steps, "a"), noted(steps, "b")):
            raise ValueError("no")
    assert steps[2:] == ["b sees no", "leave b", "a sees no", "leave a"]


async def test_what_was_entered_is_left_when_the_next_can_not_be(steps: list[str]) -> None:
    owner = ContextOwner(noted(steps, "a"), noted(steps, "b", trouble=ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        async with owner:
            pytest.fail("it was entered")
    assert steps == ["enter a", "a sees no", "leave a"]
