"""One picture or one snapshot, without a terminal."""

import sys
from collections.abc import Callable

import orjson
import pytest

from taskmill.cli.top import command
from taskmill.domain.attention import NoticeKind, Severity
from tests.support.fake_service import FakeService, unused_url
from tests.support.pictures import a_notice

Taskmill = Callable[..., tuple[int, str, str]]


@pytest.fixture
def busy(service: FakeService, url: str) -> FakeService:
    assert url
    service.add(queue="mail")
    error = {"type": "ValueError", "message": "no such customer"}
    service.end(service.add(queue="reports", name="отчёт 🎉"), "failed", error=error)
    return service


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("options", [("--once",), ()])
def test_one_picture_is_plain_text(
    taskmill: Taskmill, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")

    status, out, err = taskmill("top", "--interval", "0.2", *options)

    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert 10 < len(lines) < 30
    assert "\x1b" not in out
    assert "q quit" not in out
    assert "rates over 15m" in lines[0]
    assert lines[1] == "tasks   2  new 1  running 0  succeeded 0  failed 1  cancelled 0"
    assert "WORKERS 1" in out
    assert "ValueError: no such customer" in out


def test_a_snapshot_for_programs_has_all_of_it(taskmill: Taskmill, busy: FakeService) -> None:
    busy.workers = []
    notice = a_notice("the broker is away", NoticeKind.BROKER_AWAY, severity=Severity.TROUBLE)
    busy.notices = [notice.to_json()]

    status, out, _ = taskmill("top", "--json", "--window", "1h")

    [line] = out.splitlines()
    result = orjson.loads(line)
    assert status == 0
    assert result.keys() == {
        "url",
        "at",
        "verdict",
        "notices",
        "stats",
        "queues",
        "workers",
        "failures",
    }
    assert result["stats"]["activity"]["window"] == "1h"
    assert [queue["name"] for queue in result["queues"]] == ["mail", "reports"]
    assert result["failures"][0]["error"] == {"type": "ValueError", "message": "no such customer"}
    assert result["failures"][0]["name"] == "отчёт 🎉"
    assert result["failures"][0]["kind"] == "ValueError: no such customer"
    assert result["verdict"] == "trouble"
    assert result["notices"] == [notice.to_json()]


@pytest.mark.usefixtures("busy")
def test_one_snapshot_takes_as_many_requests_however_many_tasks_there_are(
    taskmill: Taskmill, service: FakeService
) -> None:
    for _ in range(600):
        service.add()

    taskmill("top", "--json")

    paths = [request[1].partition("?")[0].rpartition("/")[2] for request in service.requests]
    assert paths == ["stats", "queues", "workers", "attention", "tasks"]


@pytest.fixture
def without_textual(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an environment without the extra has."""
    for name in ("taskmill.cli.top.app", "taskmill.cli.top.widgets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "textual"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "textual", None)


@pytest.mark.usefixtures("without_textual")
def test_without_its_extra_one_line_says_how_to_install_it(
    taskmill: Taskmill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_is_terminal", lambda: True)

    assert taskmill("top", "--url", unused_url()) == (
        2,
        "",
        (
            "Error: taskmill top without --once needs packages that are not installed (textual): "
            "pip install 'taskmill[top]'\n"
        ),
    )


@pytest.mark.usefixtures("busy", "without_textual")
@pytest.mark.parametrize("option", ["--once", "--json"])
def test_one_picture_needs_no_extra(taskmill: Taskmill, option: str) -> None:
    status, out, err = taskmill("top", option, "--interval", "0.2")

    assert (status, err) == (0, "")
    assert "no such customer" in out


def test_another_missing_module_is_not_taken_for_the_extra(
    taskmill: Taskmill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setitem(sys.modules, "taskmill.cli.top.app", None)

    with pytest.raises(ModuleNotFoundError, match=r"top\.app"):
        taskmill("top", "--url", unused_url())


def test_an_unreachable_service_is_one_message(taskmill: Taskmill) -> None:
    status, out, err = taskmill("top", "--once", "--url", unused_url())

    assert (status, out) == (1, "")
    assert err.startswith("Error: no response from Taskmill at ")
    assert err.splitlines()[1].startswith("Is it running (./taskmill up), and is this its address")


@pytest.mark.parametrize("wrong", [("--interval", "0"), ("--window", "2h"), ("--interval", "x")])
def test_a_wrong_option_is_exit_status_2(taskmill: Taskmill, wrong: tuple[str, str]) -> None:
    assert taskmill("top", *wrong)[0] == 2


def test_a_bad_address_is_an_error_before_anything_is_shown(taskmill: Taskmill) -> None:
    status, out, err = taskmill("top", "--url", "nowhere")

    assert (status, out) == (1, "")
    assert "an address looks like" in err
