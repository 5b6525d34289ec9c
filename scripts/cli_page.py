"""Writes docs/reference/cli.md: every command with its help, as the program tells it.

`python scripts/cli_page.py` writes the page anew; `tests/architecture/test_cli_page.py` fails while they differ.
"""
# ruff: noqa: INP001 - a program of its own

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))

import click  # noqa: E402 - see above

from taskmill.cli.main import program  # noqa: E402

WIDTH = 100
INTRODUCTION = """\
# Command line

<!-- Made by scripts/cli_page.py of what the commands say of themselves. -->

In a clone the program is `./taskmill`, where the package is installed `taskmill`. The commands under "Use it" talk
to a running service over HTTP, at `--url` or `TASKMILL_URL`, else at http://127.0.0.1:8000; so they work from
anywhere. Tables are for people: on a terminal they fit its width, into a pipe nothing is cut or coloured. Programs
take `--json`: one object a line. `--quiet` leaves ids alone.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | refused, or not reachable: one message on standard error says why. Of `watch` and the like: the task failed |
| 2 | the command line is wrong |
| 3 | of `task watch`, `task wait` and `task create --wait`: the task was cancelled |
| 4 | of `task wait`: the time is over |
| 130 | interrupted by Ctrl-C |

Completion of commands and options in a shell: [completion](#taskmill-completion).
"""


def page() -> str:
    """Return the whole page."""
    context = click.Context(program, info_name="taskmill", help_option_names=["-h", "--help"])
    return "\n".join([INTRODUCTION, *_lines(program, context)])


def _lines(command: click.Command, parent: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(parent):
        found = command.get_command(parent, name)
        assert found is not None  # noqa: S101 - it is in the list
        context = click.Context(
            found, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
        )
        yield from (f"## {context.command_path}", "", "```text")
        yield from (line.rstrip() for line in found.get_help(context).splitlines())
        yield from ("```", "")
        yield from _lines(found, context)


if __name__ == "__main__":
    PAGE.write_text(page().rstrip("\n") + "\n", encoding="utf-8")
