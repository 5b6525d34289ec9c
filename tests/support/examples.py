"""Runs the programs of `examples/` as their pages say, from their folder."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import ROOT

EXAMPLES = ROOT / "examples"
SIGNING_KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


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
