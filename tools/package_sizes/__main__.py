"""The command: `make package-sizes` prints what each extra brings, `EXTRAS="worker up"` of some."""
# ruff: noqa: T201 - a program that prints

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tools.package_sizes.installing import build_wheels, install, measure

EXTRAS: Final = ("", "contracts", "cli", "worker", "server", "up", "top", "traces")


def main(extras: Sequence[str]) -> None:
    """Print a table, a row for each extra."""
    with TemporaryDirectory(prefix="taskmill-") as folder:
        wheels = build_wheels(Path(folder) / "dist")
        for wheel in wheels:
            print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        for extra in extras:
            python = install(wheels[0], extra, Path(folder) / f"with-{extra}")
            found = measure(python, extra)
            name = f"taskmill[{extra}]" if extra else "taskmill"
            print(
                f"{name:<20} {found.packages:>3} packages {found.megabytes:>6.1f} MB  "
                f"import {found.module} {found.import_s:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or EXTRAS)
