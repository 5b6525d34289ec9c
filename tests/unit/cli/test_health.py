"""The command that health checks run: its address, its output, and its fast start."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.support.fake_service import FakeService, unused_url

Taskmill = Callable[..., tuple[int, str, str]]


def test_it_is_0_when_the_service_is_ready(taskmill: Taskmill, url: str) -> None:
    assert taskmill("health", "--url", url) == (0, "ready\n", "")


def test_it_names_a_broker_that_is_away_and_is_0(
    taskmill: Taskmill, service: FakeService, url: str
) -> None:
    service.parts["broker"] = "away: nobody answers"

    assert taskmill("health", "--url", url) == (0, "ready  broker away: nobody answers\n", "")


def test_it_is_1_and_names_what_is_away(taskmill: Taskmill, service: FakeService, url: str) -> None:
    service.trouble = "the database is away"

    assert taskmill("health", "--url", url) == (1, "not ready  the database is away\n", "")


def test_it_is_1_and_one_line_without_a_response(taskmill: Taskmill) -> None:
    nobody = unused_url()

    assert taskmill("health", "--url", nobody) == (
        1,
        f"not ready  no response from {nobody}: Connection refused\n",
        "",
    )


def test_it_is_1_when_something_else_responds(taskmill: Taskmill, url: str) -> None:
    assert taskmill("health", "--url", f"{url}/page/") == (
        1,
        f"not ready  {url}/page/ responds with 404\n",
        "",
    )


def test_it_is_1_when_the_response_is_not_taskmills(
    taskmill: Taskmill, service: FakeService, url: str
) -> None:
    service.returns_html = True

    assert taskmill("health", "--url", url)[:2] == (
        1,
        f"not ready  the response from {url} is not Taskmill's\n",
    )


def test_text_from_outside_cannot_steer_the_terminal(
    taskmill: Taskmill, service: FakeService, url: str
) -> None:
    service.trouble = "gone\x1b[2J\nready"

    assert (
        taskmill("health", "--url", url)[1]
        == "not ready  gone\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}ready\n"
    )


def test_it_has_a_form_for_programs(taskmill: Taskmill, service: FakeService, url: str) -> None:
    assert orjson.loads(taskmill("health", "--url", url, "--json")[1]) == {
        "ready": True,
        "parts": service.parts,
    }
    service.trouble = "the database is away"
    assert orjson.loads(taskmill("health", "--url", url, "--json")[1]) == {
        "ready": False,
        "detail": "the database is away",
    }


def test_a_wrong_address_is_an_error(taskmill: Taskmill) -> None:
    status, _, err = taskmill("health", "--url", "localhost:8000")

    assert status == 1
    assert "expected http://host:port" in err


@pytest.mark.parametrize("names", [("ADMIN_HOST", "ADMIN_PORT"), ("API__HOST", "API__PORT")])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - named, not bound
def test_it_checks_the_port_from_the_environment(
    taskmill: Taskmill,
    served: tuple[FakeService, str],
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, str],
    host: str,
) -> None:
    monkeypatch.delenv("TASKMILL_URL", raising=False)
    monkeypatch.setenv(f"TASKMILL_{names[0]}", host)
    monkeypatch.setenv(f"TASKMILL_{names[1]}", str(urlsplit(served[1]).port))
    served[0].clear()

    assert taskmill("health") == (0, "ready\n", "")
    assert len(served[0].requests) == 1


def test_it_prefers_the_admin_port_of_the_settings_file_to_the_api(
    taskmill: Taskmill, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TASKMILL_URL")
    (tmp_path / "taskmill.toml").write_text(
        f"admin_port = {urlsplit(url).port}\n[api]\nport = {urlsplit(unused_url()).port}\n"
    )
    monkeypatch.chdir(tmp_path)

    assert taskmill("health")[:2] == (0, "ready\n")


def test_a_health_check_imports_nothing_heavy() -> None:
    code = (
        "import sys; from taskmill.cli.main import run; "
        f"run(['health', '--url', {unused_url()!r}]); print(*sorted(sys.modules))"
    )
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert "not ready" in printed
    heavy = {"asyncio", "fastapi", "httpx", "pydantic", "rich", "sqlalchemy", "taskmill.settings"}
    assert not heavy & set(printed.split())
