"""`taskmill verify`: checks a database against the guarantees, for people and for programs."""

import sys
import traceback
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskmill.cli import show
from taskmill.cli.addresses import data_option, database_url_option, settings_of
from taskmill.cli.numbers import Number, Whole
from taskmill.cli.parameters import Moment, Span
from taskmill.domain.errors import TaskmillError

if TYPE_CHECKING:
    from taskmill.cli.verify_report import Report
    from taskmill.operations.verify import Verification

_EPILOG = """\b
Examples:
  taskmill verify
  taskmill verify --since 1d
  taskmill verify --as-of 2030-01-31T09:00Z
  taskmill verify --database-url postgresql://user:password@host/taskmill --json
"""


class CouldNotRun(click.ClickException):
    """The verification did not run, or not to its end: the database is neither clean nor broken."""

    exit_code = 2


@click.command(epilog=_EPILOG)
@database_url_option
@data_option
@click.option(
    "--since",
    type=Span(),
    help="Only tasks created within this time, such as 12h or 1d; leaves out the counters.",
)
@click.option(
    "--as-of",
    type=Moment(),
    help="The moment to which the database was restored: nothing may be later, and ages are counted until then.",
)
@click.option(
    "--rows",
    type=Whole(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many findings of a kind to show; all are counted.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0.1, 86_400),
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds for each statement that reads a whole table.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one finding a line, then a summary.")
def verify(
    *,
    database_url: str | None,
    data: Path | None,
    since: timedelta | None,
    as_of: datetime | None,
    rows: int,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Check a database, also while it is in use: does every row and every history keep the guarantees?

    It only reads, in short transactions. Exit status: 0 no violations, 1 violations, 2 it could not be
    verified, or not all of it. Warnings are not violations.
    """
    from taskmill.cli.verify_report import JsonReport, TextReport  # noqa: PLC0415 - only when it runs
    from taskmill.composition.one_shot import verify_database  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    report: Report = JsonReport(rows) if as_json else TextReport(rows)
    try:
        with report:
            settings = settings_of(data, "database_url", database_url=database_url)
            verification = verify_database(
                settings, report, since=since, as_of=as_of, timeout_s=timeout_s
            )
        report.end(verification)
        sys.stdout.flush()
    except TaskmillError as error:
        raise CouldNotRun(str(error)) from error
    except BrokenPipeError:
        show.forget_reader()
        return CouldNotRun.exit_code
    except OSError as error:  # a full disk behind standard output
        show.forget_reader()
        raise CouldNotRun(error.strerror or str(error)) from error
    except Exception:  # noqa: BLE001 - a status of 1 would say that something was found
        traceback.print_exc()
        return CouldNotRun.exit_code
    return _exit_status(verification)


def _exit_status(verification: "Verification") -> int:
    if verification.violations:
        return 1
    return CouldNotRun.exit_code if verification.unchecked or verification.broken_off else 0
