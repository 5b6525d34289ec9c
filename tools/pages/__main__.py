"""The command: `tools/run_pages [PAGE...]`."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tools.pages.blocks import NotRun, Page, PageError, read
from tools.pages.folder import ROOT
from tools.pages.session import Failure, Site, site

__all__ = ["PAGES", "main", "not_run"]

# Every page whose blocks are run, or have a reason why they are not.
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/tutorial/*.md")),
    *sorted(ROOT.glob("docs/how-to/*.md")),
]

_ABOUT = """\
Run the commands and the code of pages, and compare their output with the page. Each page gets a folder like
a fresh clone, and free ports instead of those that it names. All that was started is stopped again.
"""


def main(arguments: list[str]) -> int:
    """Run pages one after the other; returns 1 if the output of one differs."""
    chosen = _parser().parse_args(arguments)
    try:
        pages = [read(Path(os.path.relpath(page))) for page in chosen.pages]
    except PageError as error:
        return _failed([str(error)])
    if chosen.list:
        _print(
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
        help="a complete virtual environment, instead of the .venv that ./taskmill makes",
    )
    return parser


def _run(shared: Site, page: Page, is_quiet: bool) -> str | None:  # noqa: FBT001 - an option of the command
    _print(f"\n{page.path}")
    begun = time.monotonic()  # noqa: TID251 - a stopwatch

    def report(line: int | None, text: str) -> None:
        if line is not None:
            _print(f"{line:5} {text}")
        elif text and not is_quiet:
            _print("\n".join(f"      | {one}" for one in text.split("\n")))

    try:
        shared.go_through(page, report)
    except Failure as failure:
        return "\n".join([str(failure), *getattr(failure, "__notes__", [])])
    left_out = len(not_run(page))
    done, took = len(page.steps) - left_out, time.monotonic() - begun  # noqa: TID251 - see above
    _print(f"      as printed: {done} steps in {took:.0f} s; {left_out} blocks are not run")
    return None


def _failed(failures: list[str]) -> int:
    for failure in failures:
        _print(f"\nFAILED {failure}")
    return 1 if failures else 0


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    # Exit regularly, so that all that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
