"""Completing commands in a shell."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Taskmill = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, taskmill: Taskmill) -> None:
    status, out, err = taskmill("completion", shell)
    assert (status, err) == (0, "")
    assert f"_TASKMILL_COMPLETE={shell}_complete" in out


def test_another_shell_is_refused(taskmill: Taskmill) -> None:
    status, _, err = taskmill("completion", "csh")
    assert status == 2
    assert "'bash', 'zsh', 'fish'" in err


def test_words_are_completed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskmill"],
        env={
            **os.environ,  # noqa: TID251 - for the child
            "_TASKMILL_COMPLETE": "bash_complete",
            "COMP_WORDS": "taskmill task wa",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["plain,wait", "plain,watch"]
