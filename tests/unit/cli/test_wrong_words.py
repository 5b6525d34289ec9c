"""The errors for mistyped commands and values."""

from collections.abc import Callable

import pytest

Taskmill = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tasks", "task"),
        ("workers", "worker"),
        ("queues", "queue"),
        ("setings", "settings"),
        ("rn", "run"),
    ],
)
def test_an_unknown_command_is_an_error_that_suggests_a_similar_one(
    taskmill: Taskmill, typed: str, meant: str
) -> None:
    status, out, err = taskmill(typed, "list")

    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == f"Error: No such command '{typed}'. Did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["task", "create", "x", "--priority", "high"], "a whole number from 0 to 9, got 'high'"),
        (["task", "create", "x", "--priority", "12"], "a whole number from 0 to 9, got '12'"),
        (
            ["task", "create", "x", "--max-attempts", "many"],
            "a whole number from 1 to 1,000, got 'many'",
        ),
        (
            ["task", "create", "x", "--delay-s", "soon"],
            "a number of seconds from 0 to 31,536,000, got 'soon'",
        ),
        (
            ["task", "create", "x", "--delay-s", "nan"],
            "a number of seconds from 0 to 31,536,000, got 'nan'",
        ),
        (
            ["task", "create", "x", "--timeout-s", "0"],
            "a number of seconds over 0, at most 604,800, got '0'",
        ),
        (["task", "wait", "x", "--timeout-s", "-1"], "a number of seconds of 0 or more, got '-1'"),
        (["up", "--port", "http"], "a whole number from 0 to 65,535, got 'http'"),
        (["up", "--workers", "0"], "a whole number of 1 or more, got '0'"),
        (["top", "--interval", "0"], "a number from 0.2 to 3,600, got '0'"),
    ],
)
def test_a_wrong_number_is_an_error_that_names_the_expected_one(
    taskmill: Taskmill, arguments: list[str], expected: str
) -> None:
    status, out, err = taskmill(*arguments)

    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith(f"expected {expected}")
