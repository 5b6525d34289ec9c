"""Looks up known vulnerabilities of the packages that a lock names: `make audit-dependencies`.

It needs the network, as pip-audit asks a public database. pip-audit ends well when that does not know a package,
also where a proxy answers instead; here that is an error. Exit status: 0 if nothing is known, 1 if something is, 2
if not all packages could be looked up.
"""
# ruff: noqa: INP001, T201, S603 - a program of its own, which prints, and runs a program of its environment

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_TIMEOUT_S: Final = 600
NONE_KNOWN: Final = 0
SOME_KNOWN: Final = 1
NOT_LOOKED_UP: Final = 2


def main(lock: Path, command: Sequence[str | Path]) -> int:
    """Look up what `lock` names with pip-audit, print what is found, and return the exit status."""
    options = ("--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json")
    try:
        done = subprocess.run(
            [*command, *options, "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"Nothing was looked up: no response within {_TIMEOUT_S} s.")
        return NOT_LOOKED_UP
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        why = (done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1]
        print(f"Nothing was looked up; the database may be out of reach from here: {why}")
        return NOT_LOOKED_UP
    status, lines = verdict(found)
    print("\n".join(lines))
    return status


def verdict(dependencies: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status and what to print about pip-audit's list."""
    skipped = [one for one in dependencies if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {known['id']}"
        + (f", fixed in {', '.join(known['fix_versions'])}" if known["fix_versions"] else "")
        for one in dependencies
        for known in one.get("vulns", ())
    ]
    status = SOME_KNOWN if lines else NONE_KNOWN
    if skipped or not dependencies:
        status = status or NOT_LOOKED_UP
        lines.append(
            f"{len(skipped)} of {len(dependencies)} packages could not be looked up. "
            "If that is all of them, the database is out of reach from here."
        )
        lines += [f"  {one['name']}: {one['skip_reason']}" for one in skipped[:3]]
    elif not lines:
        lines.append(f"Nothing is known against any of {len(dependencies)} packages.")
    return status, lines


if __name__ == "__main__":
    sys.exit(
        main(ROOT / "requirements" / f"{sys.argv[1]}.txt", (sys.executable, "-m", "pip_audit"))
    )
