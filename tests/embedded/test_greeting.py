"""What `up` prints once it serves."""

from pathlib import Path

import pytest

from taskmill.embedded.stack import _Broker, _greet

URL = "http://127.0.0.1:8000"


def greeting(capfd: pytest.CaptureFixture[str], key_file: Path | None) -> str:
    _greet(URL, _Broker(), "here", None, key_file)
    return capfd.readouterr().out


def test_the_greeting_says_how_to_log_in_where_keys_are_required(
    capfd: pytest.CaptureFixture[str],
) -> None:
    shown = greeting(capfd, Path("data/admin.key"))
    assert "API key    in data/admin.key\n" in shown
    command = f"TASKMILL_API_KEY_FILE=data/admin.key taskmill dashboard --url {URL} --open"
    assert f"log in     {command}\n" in shown
    assert 'Bearer $(cat data/admin.key)"' in shown
    assert "key" not in greeting(capfd, None)
