"""`taskmill doctor`: what is wrong with the service, the evidence, and the command that fixes it."""

import asyncio
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from taskmill.cli import show
from taskmill.cli.addresses import (
    broker_url_option,
    data_option,
    database_url_option,
    settings_of,
)
from taskmill.cli.server import json_option, with_advice
from taskmill.domain.attention import Severity
from taskmill.domain.errors import TaskmillError
from taskmill.domain.extras import NotInstalled, missing_package

if TYPE_CHECKING:
    from taskmill.client.views.doctor import DiagnosisView, DoctorReportView

_STATUSES: Final = {"well": 0, "warning": 1, "trouble": 2}
_EPILOG = """\b
Examples:
  taskmill doctor
  taskmill doctor --json | jq '.diagnoses[].command'
  taskmill doctor --database-url postgresql://user:password@host/taskmill
  taskmill doctor --url https://tasks.example.org
"""


class CouldNotExamine(click.ClickException):
    """Nothing could be examined: the service is neither well nor ill."""

    exit_code = 3


@click.command(epilog=_EPILOG)
@database_url_option
@broker_url_option
@data_option
@click.option(
    "--url", help="Have the service at this address examine itself; needs the scope admin."
)
@json_option
def doctor(
    *,
    database_url: str | None,
    broker_url: str | None,
    data: Path | None,
    url: str | None,
    as_json: bool,
) -> int:
    """Examine PostgreSQL, RabbitMQ, processes and settings: what is wrong, how it shows, and what fixes it.

    It needs no running service, only reads, and takes about 2 s at most, whatever is stored. What it could not
    see is listed, with the reason. Exit status, by the worst that was found: 0 nothing, 1 a warning, 2 trouble;
    3 it could not be run.
    """
    try:
        found = _asked(url) if url else _examined(data, database_url, broker_url)
    except TaskmillError as error:
        raise CouldNotExamine(with_advice(error)) from error
    except Exception as error:  # noqa: BLE001 - a status of 1 would say that something was found
        _refuse_without_packages(error)
        traceback.print_exc()
        return CouldNotExamine.exit_code
    if as_json:
        show.json_lines([found])
    else:
        _print(found)
    return _STATUSES[found.verdict]


def _refuse_without_packages(error: Exception) -> None:
    """Raise an error that names the extra if packages are missing; 2 would say that trouble was found."""
    missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
    if missing is not None:
        needed = NotInstalled("taskmill doctor without --url", extra="server", missing=missing)
        raise CouldNotExamine(str(needed)) from error


def _asked(url: str) -> "DoctorReportView":
    from taskmill.client.synchronous.client import TaskmillClient  # noqa: PLC0415 - only when it runs
    from taskmill.settings.client_key import client_key  # noqa: PLC0415 - only when it runs

    with TaskmillClient(url, retries=1, api_key=client_key(url)) as client:
        return client.doctor()


def _examined(
    data: Path | None, database_url: str | None, broker_url: str | None
) -> "DoctorReportView":
    from taskmill.client.json_text import read_json  # noqa: PLC0415 - only when it runs
    from taskmill.client.reading import reader_of  # noqa: PLC0415 - only when it runs
    from taskmill.client.views.doctor import DoctorReportView  # noqa: PLC0415 - only when it runs
    from taskmill.composition.doctor import examine  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs
    from taskmill.wire.doctor import doctor_json  # noqa: PLC0415 - only when it runs

    logs.silence()
    settings = settings_of(data, "database_url", database_url=database_url, broker_url=broker_url)
    body = doctor_json(asyncio.run(examine(settings)))
    found: DoctorReportView = reader_of(DoctorReportView)(read_json(body))
    return found


def _print(found: "DoctorReportView") -> None:
    show.line(show.dim("  ".join(_facts(found))))
    if found.diagnoses:
        rows = [
            (str(number), _severity(one), one.kind, one.sentence)
            for number, one in enumerate(found.diagnoses, 1)
        ]
        show.table(("NO", "SEVERITY", "KIND", "WHAT"), rows, cut="WHAT", numbers=("NO",))
        for number, one in enumerate(found.diagnoses, 1):
            _print_fix(number, one)
    else:
        show.line(show.good("nothing is wrong"))
    if found.unseen:
        show.line()
        unseen = [(one.what, one.command or "-", one.reason) for one in found.unseen]
        show.table(("NOT SEEN", "WHAT SHOWS IT", "WHY"), unseen, cut="WHY")


def _print_fix(number: int, one: "DiagnosisView") -> None:
    show.line()
    show.line(show.strong(f"{number}. {one.kind}"), show.good(one.command))
    for evidence in one.evidence:
        show.line("  ", show.dim(evidence))


def _facts(found: "DoctorReportView") -> Iterator[str]:
    yield f"taskmill {found.version}"
    yield f"schema {found.migration or 'none'}"
    if found.postgres is not None:
        yield f"PostgreSQL {found.postgres}"
    if found.rabbitmq is not None:
        yield f"RabbitMQ {found.rabbitmq}"
    for version, processes in found.versions.items():
        yield f"{processes} of {version}"


def _severity(one: "DiagnosisView") -> show.Cell:
    if not one.counts:
        return show.dim("seen to")
    severity = one.severity
    return show.failure(severity) if severity is Severity.TROUBLE else show.warning(severity)
