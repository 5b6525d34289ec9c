"""The program's entry: the tree of commands, and the exit status of each.

Every expected error is one message on standard error and an exit status: 2 for a wrong command
line, or one whose packages are not installed, 1 for the rest. Commands raise; only this module
turns errors into exit statuses.
"""

import errno
import os
import sys
from pathlib import Path

import click

from taskmill.cli.lazy import Lazy, LazyGroup, Sections
from taskmill.domain.errors import TaskmillError
from taskmill.domain.extras import NotInstalled
from taskmill.version import VERSION

_INTERRUPTED = 130
_NOT_INSTALLED = 2
# Full disks and quotas, and a terminal that has gone.
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

_SECTIONS: Sections = {
    "Run the service": {
        "up": Lazy("service", "up", "Start everything on this machine, database included."),
        "run": Lazy("service", "run", "Run some roles on a database of your own."),
        "migrate": Lazy("migrating", "migrate", "Bring a database to this version."),
        "broker": Lazy("broker", "broker", "Show the broker's queues; send all hints again."),
        "key": Lazy("keys", "key", "Make, list, rotate and revoke API keys."),
        "verify": Lazy("verify", "verify", "Check a database: does it keep the guarantees?"),
        "archive": Lazy("archive", "archive", "List weeks that were archived; show their tasks."),
        "doctor": Lazy("doctor", "doctor", "Find what is wrong with it, and what fixes that."),
        "secrets": Lazy("stored_secrets", "secrets", "Encrypt stored secrets, or decrypt them."),
        "settings": Lazy("service", "settings", "Show what is set, and where."),
    },
    "Use it (over HTTP)": {
        "task": Lazy(
            "tasks",
            "task",
            "Create, list, show, explain, watch, cancel and retry tasks.",
        ),
        "job": Lazy("jobs", "job", "List and stop cancels and retries of many tasks."),
        "events": Lazy("events", "events", "Print what happens to tasks, as it happens."),
        "queue": Lazy(
            "system",
            "queue",
            "List, pause, resume queues; publish to them; what they refused.",
        ),
        "failure": Lazy("failures", "failure", "List what fails, by kind; how often, since when."),
        "worker": Lazy("system", "worker", "List workers; have one take no more tasks, or stop."),
        "type": Lazy("contracts", "type_", "List types with a contract; register or drop one."),
        "schedule": Lazy(
            "schedules",
            "schedule",
            "Have tasks made at times: put, list, pause schedules; what became of ticks.",
        ),
        "webhook": Lazy(
            "webhooks",
            "webhook",
            "Notify endpoints when tasks end; see what was delivered.",
        ),
        "dashboard": Lazy("dashboard", "dashboard", "Print a link that logs a browser in."),
        "session": Lazy("sessions", "session", "List who is logged in; log somebody out."),
        "audit": Lazy("audit", "audit", "List who did what: cancels, pauses, changes."),
        "stats": Lazy("system", "stats", "Count tasks by queue and status."),
        "attention": Lazy("attention", "attention", "List what needs attention, and what ends it."),
        "top": Lazy("top.command", "top", "Show live what happens, and what needs attention."),
        "health": Lazy("health", "health", "Check whether the service is ready."),
        "completion": Lazy("completion", "completion", "Complete commands in bash, zsh or fish."),
    },
}

_EPILOG = """\b
Examples:
  taskmill up                              everything, on http://127.0.0.1:8000
  taskmill task create first --wait        create a task and follow it to its end
  taskmill task list --status failed       what went wrong
  taskmill task show ID                    one task and its history
  taskmill run worker --concurrency 5000   one more worker on your database
"""


@click.group(
    cls=LazyGroup,
    sections=_SECTIONS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def program() -> None:
    """Taskmill: hand it work over HTTP, watch it run, never lose it.

    Every command explains itself: taskmill COMMAND --help. Settings are environment variables
    (TASKMILL_…), .env, or taskmill.toml; taskmill settings shows them all.
    """


def main() -> None:
    """Run the command line of this process and exit."""
    _prepare_streams()
    sys.exit(run(sys.argv[1:]))


def _prepare_streams() -> None:
    """Make sure that there are streams, and that they take every text: what they can't show is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as with `>&-`
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the whole run
        elif mode == "w":
            # The locale C has "surrogateescape", which fails for most text.
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    try:
        status = program.main(arguments, prog_name="taskmill", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_reader()
        return 1
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _forget_reader()
        click.echo(f"Error: {error.strerror}", err=True)
        return 1
    except TaskmillError as error:
        # Starting the service must not import it.
        from taskmill.cli.server import with_advice  # noqa: PLC0415 - see above

        click.echo(f"Error: {with_advice(error)}", err=True)
        return _NOT_INSTALLED if isinstance(error, NotInstalled) else 1
    return status if isinstance(status, int) else 0


def _forget_reader() -> None:
    # Starting the service must not import it; where the error was raised, it is imported already.
    from taskmill.cli import show  # noqa: PLC0415 - see above

    show.forget_reader()
