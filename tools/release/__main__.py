"""The command: `make release ARGS="--cut 0.3.0"` begins a version, and `make release` makes its files and its tag.

The files go to `dist/taskmill-VERSION`.
"""
# ruff: noqa: T201, TID251 - a program that prints, and dates what it makes

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from subprocess import CalledProcessError

from taskmill.version import VERSION
from tools.release import making


def main(arguments: Sequence[str]) -> None:
    """Begin a version, or build the files of the current one."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--no-image", action="store_true", help="only the files")
    parser.add_argument("--cut", metavar="VERSION", help="begin a version")
    parser.add_argument(
        "--promise", action="store_true", help="list anew what an untagged one promises"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.cut:
            making.cut(chosen.cut, datetime.now(UTC).date().isoformat())
            print(f"{chosen.cut} is cut: read the diff, commit it, then `make release`.")
        elif chosen.promise:
            making.promise(VERSION)
        else:
            _make(is_with_image=not chosen.no_image)
    except ValueError as error:
        sys.exit(f"Error: {error}")


def _make(*, is_with_image: bool) -> None:
    tag = making.check()
    folder = making.ROOT / "dist" / f"taskmill-{VERSION}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in making.build_files(folder):
        print(f"{file.stat().st_size:>10,}  {file.relative_to(making.ROOT)}")
    if making.make_tag(tag):
        print(f"{tag} is this commit. Now commit what begins {making.begin_next()}, and push both.")
    if is_with_image:
        _build_image()


def _build_image() -> None:
    try:
        image = making.build_image()
    except CalledProcessError as error:
        sys.exit(f"The files are complete, but the image can't be built: {error.cmd[0]} failed.")
    print(f"image: {image or 'not built, as no container engine works here'}")


if __name__ == "__main__":
    main(sys.argv[1:])
