"""Addresses of brokers with one node or several, and how they are shown."""

import pytest

from taskmill.amqp.connection import addresses, in_words, vhost_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://u:p@one:5672/v", ["amqp://u:p@one:5672/v?heartbeat=4"]),
        ("amqp://one", ["amqp://one/?heartbeat=4"]),
        ("amqp://u:p@one/", ["amqp://u:p@one/?heartbeat=4"]),
        ("amqp://u:p@one?x=1", ["amqp://u:p@one/?x=1&heartbeat=4"]),
        ("amqps://one/v?x=1", ["amqps://one/v?x=1&heartbeat=4"]),
        ("amqp://one/v?heartbeat=9", ["amqp://one/v?heartbeat=9"]),
        (
            "amqp://u:p%40@one:1,two:2,[::1]:3/v%2Fw",
            [
                "amqp://u:p%40@one:1/v%2Fw?heartbeat=4",
                "amqp://u:p%40@two:2/v%2Fw?heartbeat=4",
                "amqp://u:p%40@[::1]:3/v%2Fw?heartbeat=4",
            ],
        ),
    ],
)
def test_each_node_has_an_address_of_its_own(url: str, expected: list[str]) -> None:
    assert addresses(url) == expected


def test_an_address_names_its_virtual_host() -> None:
    assert vhost_of("amqp://u:p@one:1,two:2/v") == "v"
    assert vhost_of("amqp://one/v%2Fw?x=1") == "v/w"
    assert [vhost_of(f"amqp://one{path}") for path in ("", "/", "/%2F")] == ["/"] * 3


def test_errors_are_shown_without_credentials_and_never_empty() -> None:
    assert in_words(OSError("amqp://u:p@one/v: refused")) == "amqp://***@one/v: refused"
    assert in_words(TimeoutError()) == "TimeoutError"
    assert len(in_words(OSError("x" * 1000))) == 300
