"""Runs the programs of `examples/` from their folder, as their pages describe."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.processes import ROOT, Program

EXAMPLES = ROOT / "examples"
CALLS_KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
EVENTS_KEY = "whsec_" + base64.b64encode(b"e" * 32).decode()


def where(example: str) -> dict[str, str]:
    """The environment in which a program finds Taskmill and the example's modules."""
    return {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{EXAMPLES / example}"}


def python(
    example: str, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENT…` in the example's folder, and return how it ended."""
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *arguments],
        cwd=EXAMPLES / example,
        env={**os.environ, **where(example), **(env or {})},  # noqa: TID251 - the child's, plus ours
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Worker:
    """A worker of an example. It can be killed and started again."""

    def __init__(self, *arguments: str, folder: Path, env: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._folder = folder
        self._env = env
        self._started = 0
        self._program: Program | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.__exit__(None, None, None)

    def start(self) -> None:
        """Start it, in a folder of its own."""
        self._started += 1
        folder = self._folder / str(self._started)
        program = Program("run", "worker", *self._arguments, folder=folder, env=self._env)
        self._program = program.__enter__()

    def kill(self) -> None:
        """Kill it, as a machine that loses its power does."""
        assert self._program is not None
        self._program.process.kill()
        self._program.process.wait()
