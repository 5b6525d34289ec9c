"""What `taskmill up` prints about its own RabbitMQ."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from taskmill.embedded import stack


def test_the_password_of_the_broker_is_not_printed_on_a_terminal_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = SimpleNamespace(
        amqp_url="amqp://taskmill:s3cret@127.0.0.1:5672/",
        password="s3cret",  # noqa: S106 - of no node
        management_url="http://127.0.0.1:15672",
        secrets_file=Path("/data/rabbitmq/secrets.json"),
    )
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    lines = stack._node_lines(node, programs=None)  # type: ignore[arg-type]  # the parts of a node that it shows
    assert lines[0].startswith("  RabbitMQ   amqp://taskmill:***@127.0.0.1:5672/")
    assert lines[1].endswith("(user and password as in /data/rabbitmq/secrets.json)")
