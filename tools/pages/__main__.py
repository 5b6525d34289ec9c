"""The command: `tools/run_pages [PAGE...]`."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tools.pages.blocks import NotRun, Page, PageError, read
from tools.pages.place import ROOT
from tools.pages.session import Failure, Site, site

__all__ = ["PAGES", "main", "not_run"]

# Every page whose blocks are run, or say why they are not.
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/tutorial/*.md")),
    *sorted(ROOT.glob("docs/how-to/*.md")),
]

_ABOUT = """\
Run the commands and the code of pages as they are printed, and compare what they print with what the page
shows. Each page gets a folder like a fresh clone, and free ports instead of those that it names. All that
was started is stopped again.
"""


def main(arguments: list[str]) -> int:
    """Run pages one after the other; returns 1 when one of them is not as printed."""
    chosen = _parser().parse_args(arguments)
    try:
        pages = [read(Path(os.path.relpath(page))) for page in chosen.pages]
    except PageError as error:
        return _failed([str(error)])
    if chosen.list:
        _say(
            "\n".join(
                f"{page.path}:{step.line}: {step.reason}"
                for page in pages
                for step in not_run(page)
            )
        )
        return 0
    with site(chosen.environment, pages) as shared:
        failures = [failure for page in pages if (failure := _run(shared, page, chosen.quiet))]
    return _failed(failures)


def not_run(page: Page) -> list[NotRun]:
    """Return the blocks that are not run."""
    return [step for step in page.steps if isinstance(step, NotRun)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/run_pages", description=_ABOUT)
    parser.add_argument(
        "pages", nargs="*", type=Path, default=PAGES, metavar="PAGE", help="all unless given"
    )
    parser.add_argument(
        "--list", action="store_true", help="only list the blocks that are not run, and why"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="don't show what the commands print"
    )
    parser.add_argument(
        "--environment",
        type=Path,
        metavar="FOLDER",
        help="a virtual environment that has everything, instead of the .venv that ./taskmill makes",
    )
    return parser


def _run(shared: Site, page: Page, is_quiet: bool) -> str | None:  # noqa: FBT001 - an option of the command
    _say(f"\n{page.path}")
    begun = time.monotonic()  # noqa: TID251 - a stopwatch

    def tell(line: int | None, text: str) -> None:
        if line is not None:
            _say(f"{line:5} {text}")
        elif text and not is_quiet:
            _say("\n".join(f"      | {one}" for one in text.split("\n")))

    try:
        shared.go_through(page, tell)
    except Failure as failure:
        return str(failure)
    left_out = len(not_run(page))
    done, took = len(page.steps) - left_out, time.monotonic() - begun  # noqa: TID251 - see above
    _say(f"      as printed: {done} steps in {took:.0f} s; {left_out} blocks are not run")
    return None


def _failed(failures: list[str]) -> int:
    for failure in failures:
        _say(f"\nFAILED {failure}")
    return 1 if failures else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    # What it has started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
