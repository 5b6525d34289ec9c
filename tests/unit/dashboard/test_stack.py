"""Tracebacks are read as Python writes them: what was raised, its causes, and own code first."""

import json
import traceback

import pytest

from taskmill.dashboard.stack import LONGEST, read_stack

INSTALLED = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.12/site-packages/taskmill/worker/execution.py", line 61, in execute
    return await handler(context)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/mail.py", line 7, in send
    post(letter)
  File "/srv/shop/.venv/lib/python3.12/site-packages/httpx/_client.py", line 10, in post
    raise ConnectError(
    ...<2 lines>...
    )
  File "/usr/lib/python3.12/socket.py", line 850, in create_connection
  File "<frozen importlib._bootstrap>", line 1, in _load
  [Previous line repeated 3 more times]
httpx.ConnectError: no route
to the host"""


def fail_twice() -> str:
    try:
        try:
            json.loads("{")
        except ValueError as error:
            raise KeyError("no order") from error
    except KeyError:
        return traceback.format_exc()
    raise AssertionError


def test_what_was_raised_last_comes_before_its_cause() -> None:
    stack = read_stack(fail_twice())
    assert [one.title.partition(":")[0] for one in stack.raised] == [
        "KeyError",
        "json.decoder.JSONDecodeError",
    ]
    assert [[frame.function for frame in one.own] for one in stack.raised] == [
        ["fail_twice"],
        ["fail_twice"],
    ]
    cause = stack.raised[1]
    assert cause.own[0].source == 'json.loads("{")'
    assert cause.frames[0].file.endswith("json/decoder.py")
    assert stack.frames == 1 + len(cause.frames)
    assert stack.text == fail_twice()


def test_own_code_is_neither_installed_nor_of_python_nor_of_taskmill() -> None:
    [raised] = read_stack(INSTALLED).raised
    assert [(one.function, one.line, one.source) for one in raised.own] == [
        ("send", 7, "post(letter)")
    ]
    assert [one.function for one in raised.frames] == [
        "_load",
        "create_connection",
        "post",
        "send",
        "execute",
    ]
    assert raised.title == "httpx.ConnectError: no route\nto the host"


def test_without_own_code_the_innermost_frame_is_shown() -> None:
    [raised] = read_stack(INSTALLED.replace("/srv/shop/mail.py", "<string>")).raised
    assert [one.function for one in raised.own] == ["_load"]


def test_an_endless_recursion_shows_few_frames() -> None:
    frame = '  File "/srv/shop/loop.py", line 3, in again\n    again()\n'
    text = f"Traceback (most recent call last):\n{frame * 990}RecursionError: too deep"
    stack = read_stack(text)
    assert stack.frames == 990
    assert len(stack.raised[0].own) == 10
    assert len(stack.text) == LONGEST + 1
    assert stack.text.endswith("RecursionError: too deep")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "it failed",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\nValueError: no frames",
        f'Traceback (most recent call last):\n  File "a.py", line {"9" * 5000}, in f\nValueError: x',
        "Error: x\n    at run (/srv/shop/index.js:3:7)",
        '  + Exception Group Traceback (most recent call last):\n  |   File "a.py", line 1, in f',
        "\n\nDuring handling of the above exception, another exception occurred:\n\n",
    ],
)
def test_what_is_no_traceback_of_python_is_shown_as_it_is(text: str) -> None:
    stack = read_stack(text)
    assert (stack.raised, stack.text) == ([], text)
