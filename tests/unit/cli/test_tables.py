"""All tables of the command line, with hostile values in them."""

import ast
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from rich.cells import cell_len

from taskmill import cli
from taskmill.amqp import depths
from taskmill.cli import activity, crontab, doctor, migrating, show, system
from taskmill.cli.main import run
from taskmill.cli.output import Columns, Output
from taskmill.client.schedules import ScheduleFields
from taskmill.client.views.activity import ActivityView
from taskmill.client.views.doctor import DoctorReportView
from taskmill.client.views.system import StatsView
from taskmill.domain.system import BrokerQueue
from taskmill.storage.migration_plan import MigrationPlan
from tests.support.hostile_values import ID, made_of

_HOSTILE = "\x1b[2J\x1b]0;x\x07a\r\n\tb\u202e\x9b" + "日本語e\u0301" * 100 + " and words" * 30
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PADDING = re.compile(r" {61,}")
_TABLE = show.table
_TO_PEOPLE = Output(as_json=False)


def _all_columns() -> dict[str, Columns[Any]]:
    names = [one.name for one in pkgutil.walk_packages(cli.__path__, f"{cli.__name__}.")]
    return {
        f"{name}.{variable}": value
        for name in names
        for variable, value in vars(import_module(name)).items()
        if isinstance(value, Columns)
    }


def _print_list(columns: Columns[Any], text: str) -> None:
    [kind, *_] = get_type_hints(columns.row).values()
    _TO_PEOPLE.items([made_of(kind, text)], columns)


def _print_crontab(text: str) -> None:
    task = {"payload": {"command": text}}
    fields = ScheduleFields(cron=text, zone=text)
    one = crontab._Imported(line=1, name=text, task=task, fields=fields)
    crontab._print([one], _TO_PEOPLE)


def _print_broker(text: str) -> None:
    async def read(*_: object) -> list[BrokerQueue]:
        return [BrokerQueue(name=text, messages=1_234_567, consumers=89)]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(depths, "read_depths", read)
        assert run(["broker", "status", "--broker-url", "amqp://x"]) == 0


def _print_settings(text: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TASKMILL_DATA_DIR", text)
        assert run(["settings"]) == 0


# Those that are no list of what the client returns.
_OTHERS: dict[str, Callable[[str], None]] = {
    "activity": lambda text: activity.print_activity(made_of(ActivityView, text)),
    "broker": _print_broker,
    "crontab": _print_crontab,
    "doctor": lambda text: doctor._print(made_of(DoctorReportView, text)),
    "migrations": lambda text: migrating._show(made_of(MigrationPlan, text), as_json=False),
    "settings": _print_settings,
    "stats": lambda text: system._print_counts(made_of(StatsView, text)),
}


class _Printed:
    """The tables that a command prints."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []

    def note(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[show.Cell]],
        **options: Any,  # noqa: ANN401 - of `table`
    ) -> None:
        self._calls.append(partial(_TABLE, headings, list(rows), **options))

    def lines(self, capsys: pytest.CaptureFixture[str]) -> list[str]:
        """Print them, without what surrounds them."""
        capsys.readouterr()
        for call in self._calls:
            call()
        return _COLOUR.sub("", capsys.readouterr().out).removesuffix("\n").split("\n")


@pytest.fixture(params=[*_all_columns(), *_OTHERS])
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _Printed:
    found, columns = _Printed(), _all_columns()
    monkeypatch.setattr(show, "table", found.note)
    name = request.param
    (_OTHERS[name] if name in _OTHERS else partial(_print_list, columns[name]))(_HOSTILE)
    assert found._calls
    return found


def test_every_table_is_among_these() -> None:
    folder = Path(cli.__file__).parent
    calls = [
        node
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "show.table"
    ]
    # That of all lists, and two of the doctor.
    assert len(calls) == len(_OTHERS) + 2


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_table_fits_its_terminal(
    printed: _Printed,
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    for line in printed.lines(capsys):
        assert cell_len(line) <= width, line
        assert line.isprintable()


def test_a_long_text_pads_no_other_row_in_a_pipe(
    printed: _Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in printed.lines(capsys):
        assert not _PADDING.search(line), line
        assert line.isprintable()


def test_ids_are_whole(
    printed: _Printed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    in_pipe = printed.lines(capsys)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    on_terminal = printed.lines(capsys)

    if re.match(r" *ID\b", in_pipe[0]) and str(ID) in in_pipe[1]:
        assert str(ID) in on_terminal[1]
