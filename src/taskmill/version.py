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
        head = (_GIT / "HEAD").read_text(encoding="ascii").strip()
        commit = (_GIT / head.removeprefix("ref: ")).read_text("ascii") if "/" in head else head
    except OSError:
        return version
    return f"{version}+g{commit[:9]}"


VERSION: Final = _with_commit("0.3.0.dev0")
