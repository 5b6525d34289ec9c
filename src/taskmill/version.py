"""The version of this program. The name of a release, of its packages and of its documents is made from it.

Between two releases it is that of the next one with `.dev0`, and in a clone the commit. In a package this file has
the version with which the package was built (`packages/versions.py`).
"""

from pathlib import Path
from typing import Final

_GIT: Final = Path(__file__).resolve().parents[2] / ".git"


def _with_commit(version: str) -> str:
    """Add the commit that a clone is on to a version that is no release."""
    if not version.endswith(".dev0"):
        return version
    try:
        return f"{version}+g{_commit()[:9]}"
    except (OSError, StopIteration):
        return version


def _commit() -> str:
    """Read which commit a clone is on: from a file of its branch, or from that of all branches."""
    head = (_GIT / "HEAD").read_text(encoding="utf-8").strip().removeprefix("ref: ")
    if "/" not in head:
        return head
    if (_GIT / head).exists():
        return (_GIT / head).read_text(encoding="utf-8")
    packed = (_GIT / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next(line for line in packed if line.endswith(f" {head}"))


VERSION: Final = _with_commit("0.3.0.dev0")
