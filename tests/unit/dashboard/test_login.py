"""Logging in without a server: how often an address may try, and where a visitor may be led."""

import pytest

from taskmill.dashboard.login_limit import MOST_TRIES, WITHIN_S, LoginLimit
from taskmill.dashboard.own_paths import own_path
from taskmill.dashboard.page_rules import ADMIN_ONLY, rule_of


def test_an_address_has_ten_tries_a_minute() -> None:
    limit = LoginLimit()
    assert [limit.wait_s("192.0.2.1", float(n)) for n in range(MOST_TRIES)] == [0] * 10
    assert limit.wait_s("192.0.2.1", 10.0) == 50
    assert limit.wait_s("192.0.2.1", 59.9) == 1
    assert limit.wait_s("192.0.2.2", 10.0) == 0
    assert limit.wait_s("192.0.2.1", WITHIN_S) == 0
    assert limit.wait_s("192.0.2.1", WITHIN_S) == 1


def test_what_is_refused_does_not_count() -> None:
    limit = LoginLimit()
    for second in range(60):
        limit.wait_s("192.0.2.1", second / 100)
    assert limit.wait_s("192.0.2.1", WITHIN_S + 0.5) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("a.socket", "another", False),
    ],
)
def test_addresses_of_one_client_are_one(one: str, other: str, *, is_same: bool) -> None:
    limit = LoginLimit()
    for _ in range(MOST_TRIES):
        assert limit.wait_s(one, 0.0) == 0
    assert (limit.wait_s(other, 0.0) > 0) is is_same


def test_many_addresses_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.dashboard.login_limit._MOST_ADDRESSES", 3)
    limit = LoginLimit()
    for number in range(10):
        limit.wait_s(f"192.0.2.{number}", 0.0)
    assert set(limit._tries) == {"192.0.2.7", "192.0.2.8", "192.0.2.9"}


@pytest.mark.parametrize(
    "path", ["/", "/?window=1h", "/ui/tasks", "/ui/tasks?queue=a&name=%2F%2Fx"]
)
def test_a_visitor_is_led_to_a_page_of_ours(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *(
            "//evil.test",
            "///evil.test",
            "\\\\evil.test",
            "/\\evil.test",
            "https:",
            "https://evil.test",
        ),
        *(
            "javascript:alert(1)",
            "ui/tasks",
            "evil.test",
            "",
            " /ui/tasks",
            "/ui",
            "/tasks",
            "/docs",
        ),
        *("/ui/\\..\\..\\evil", "/ui/\n/evil", "/ui/\r\nset-cookie: a=b", "/ui/\t", "/ui/\u202e"),
        *("@evil.test", ".evil.test", "/uix", "/ui/" + "x" * 2000),
    ],
)
def test_a_visitor_is_led_nowhere_else(path: str) -> None:
    assert own_path(path) == "/"


def test_what_has_no_rule_is_for_admin_only() -> None:
    assert rule_of("GET", "/ui/forgotten") == ADMIN_ONLY
