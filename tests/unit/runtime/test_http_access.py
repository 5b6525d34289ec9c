"""Which requests are allowed, by their headers alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from taskmill.runtime.http_access import AccessRules
from taskmill.runtime.http_scope import TARGET
from taskmill.settings import ApiSettings

RULES = AccessRules(
    ["Box", "tasks.example.org", "*.lan.example.org", "under_score", "10.0.0.5"],
    ["http://localhost:5173", "https://app.example.com", "https://[2001:db8::7]:8443"],
)


def a_scope(
    headers: Mapping[str, str] | list[tuple[str, str]],
    *,
    method: str = "GET",
    path: str = "/tasks",
    target: bytes | None = None,
) -> dict[str, Any]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    more = {} if target is None else {TARGET: target}
    return {"type": "http", "method": method, "path": path, "headers": encoded, **more}


def status(scope: dict[str, Any], rules: AccessRules = RULES) -> int | None:
    refused = rules.refusal(scope)
    return None if refused is None else int(refused.status)


LET_IN = [
    "localhost",
    "localhost:8000",
    "localhost:",
    "LocalHost.",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.1:8000",
    "0x7f.1",
    "192.168.1.5:8000",
    "203.0.113.9",
    "[::1]",
    "[::1]:8000",
    "[FE80::1%25eth0]:80",
    "[fe80::1%eth0]",
    "[::ffff:127.0.0.1]",
    "box",
    "BOX:8000",
    "box.",
    "tasks.example.org:443",
    "a.lan.example.org",
    "a.b.LAN.example.org.:8000",
    "under_score:1",
]
UNKNOWN = [
    "evil.test",
    "evil.test:8000",
    "localhost.evil.test",
    "evil-localhost",
    "xlocalhost",
    "127.0.0.1.evil.test",
    "127-0-0-1.evil.test",
    "box.evil.test",
    "lan.example.org",
    "xlan.example.org",
    "xtasks.example.org",
    "example.org",
    "taskmill.1.2.3.4.5",
    "1.2.3.4.5",
    "xn--80ak6aa92e.com",
    "localhost..",
    "%6cocalhost",
    "localhost,evil.test",
    "0xx.1",
]
MALFORMED = [
    "",
    " ",
    ".",
    ":8000",
    "local host",
    "localhost:port",
    "localhost:65536",
    "localhost:999999",
    "localhost:-1",
    "localhost:80:80",
    "localhost/",
    "http://localhost",
    "me@localhost",
    "localhost\\",
    "localhost#",
    "l\u00f6calhost",
    "localhost\t",
    "::1",
    "[::1",
    "[::1]x",
    "[]",
    "[::g]",
    "[1.2.3.4]",
    "[v1.x]",
    "256.1.1.1",
    "a" * 254,
]


@pytest.mark.parametrize("host", LET_IN)
def test_addresses_and_known_names_are_allowed_hosts(host: str) -> None:
    assert status(a_scope({"host": host})) is None
    assert RULES.allows_host(host.encode())


@pytest.mark.parametrize("host", UNKNOWN)
def test_a_name_that_is_not_known_is_misdirected_and_named(host: str) -> None:
    refused = RULES.refusal(a_scope({"host": host}))
    assert refused is not None
    assert refused.status == 421
    assert "TASKMILL_API__ALLOWED_HOSTS" in refused.detail
    assert host.partition(":")[0].removesuffix(".").lower() in refused.detail
    assert not RULES.allows_host(host.encode())


@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_a_bad_request(host: str) -> None:
    assert status(a_scope({"host": host})) == 400
    assert not RULES.allows_host(host.encode("latin-1"))


def test_exactly_one_host_is_required() -> None:
    assert status(a_scope({})) == 400
    assert status(a_scope([("host", "localhost"), ("host", "localhost")])) == 400
    assert status(a_scope([("host", "localhost"), ("host", "evil.test")])) == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_use_any_host_or_none(path: str) -> None:
    for headers in ({}, {"host": "evil.test"}, {"host": "a b"}, {"host": ""}):
        assert status(a_scope(headers, path=path)) is None
    assert status(a_scope({"host": "evil.test"}, path=f"{path}/")) == 421


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://localhost:8000/tasks", None),
        (b"HTTPS://[::1]/tasks", None),
        (b"http://localhost?x", None),
        (b"http://evil.test/tasks", 421),
        (b"http://evil.test?localhost/", 421),
        (b"http://localhost@evil.test/tasks", 400),
        (b"http://me@localhost/tasks", 400),
        (b"http:///tasks", 400),
        (b"localhost:80", 400),
        (b"*", 400),
    ],
)
def test_a_target_that_names_a_host_is_checked_likewise(target: bytes, expected: int) -> None:
    assert status(a_scope({"host": "localhost"}, target=target)) == expected
    assert status(a_scope({"host": "evil.test"}, target=target)) in {421, expected or 421}


HERE = {"host": "192.168.1.5:8000"}
WRITES = [
    ({}, True),
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "none"}, True),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": ""}, False),
    ({"sec-fetch-site": "cross-site", "origin": "http://192.168.1.5:8000"}, False),
    ({"sec-fetch-site": "same-origin", "origin": "http://evil.test"}, False),
    ({"origin": "http://192.168.1.5:8000"}, True),
    ({"origin": "https://192.168.1.5:8000"}, True),
    ({"origin": "http://192.168.1.5:3000"}, False),
    ({"origin": "http://192.168.1.5"}, False),
    ({"origin": "http://192.168.1.6:8000"}, False),
    ({"origin": "http://203.0.113.9"}, False),
    ({"origin": "http://localhost:3000"}, True),
    ({"origin": "https://tasks.example.org"}, True),
    ({"origin": "http://tasks.example.org:8080"}, True),
    ({"origin": "https://x.lan.example.org"}, True),
    ({"origin": "http://evil.test"}, False),
    ({"origin": "http://evil.test:5173"}, False),
    ({"origin": "null"}, False),
    ({"origin": ""}, False),
    ({"origin": "localhost"}, False),
    ({"origin": "chrome-extension://abcdef"}, False),
    ({"origin": "http://localhost@evil.test"}, False),
    ({"origin": "http://app.example.com"}, True),
    ({"origin": "http://app.example.com:8080"}, False),
    ({"origin": "http://x.app.example.com"}, False),
    # Pages of allowed origins are elsewhere, as browsers report.
    ({"origin": "http://localhost:5173", "sec-fetch-site": "same-site"}, True),
    ({"origin": "http://localhost:5174", "sec-fetch-site": "same-site"}, False),
    ({"origin": "https://app.example.com", "sec-fetch-site": "cross-site"}, True),
    ({"origin": "https://[2001:DB8::7]:8443", "sec-fetch-site": "cross-site"}, True),
]


@pytest.mark.parametrize(("headers", "is_allowed_hosts"), WRITES)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "ANYTHING"])
def test_only_pages_from_here_and_programs_may_change_anything(
    headers: dict[str, str],
    is_allowed_hosts: bool,  # noqa: FBT001 - what is expected
    method: str,
) -> None:
    expected = None if is_allowed_hosts else 403
    assert status(a_scope({**HERE, **headers}, method=method)) == expected
    assert status(a_scope({**HERE, **headers})) is None


def test_each_of_several_origins_and_sites_counts() -> None:
    host = ("host", "localhost")
    good, bad = ("origin", "http://localhost"), ("origin", "http://evil.test")
    listed = ("origin", "http://localhost:5173")
    for several in ([good, bad], [listed, bad], [listed, ("origin", "null")]):
        assert status(a_scope([host, *several], method="POST")) == 403
    sites = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]
    assert status(a_scope([host, *sites], method="POST")) == 403


def test_a_proxy_that_leaves_out_the_port_is_understood() -> None:
    headers = {"host": "192.168.1.5", "origin": "https://192.168.1.5:8443"}
    assert status(a_scope(headers, method="POST")) is None


def test_the_refusal_of_another_sites_page_has_advice() -> None:
    headers = {"host": "localhost", "origin": "http://evil.test\x80"}
    refused = RULES.refusal(a_scope(headers, method="POST"))
    assert refused is not None
    assert "http://evil.test\\u0080" in refused.detail
    assert "TASKMILL_API__ALLOWED_ORIGINS" in refused.detail


def test_the_cache_of_allowed_hosts_is_limited() -> None:
    rules = AccessRules()
    for number in range(5000):
        assert rules.allows_host(f"127.0.0.1:{number}".encode())
        assert not rules.allows_host(f"evil{number}.test".encode())
    assert len(rules._allowed_hosts) <= 1000


def test_by_default_this_machine_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box.example.org")
    rules = AccessRules.of(ApiSettings())
    for host in ("localhost", "box", "box.example.org:8000"):
        assert rules.allows_host(host.encode())
    assert not rules.allows_host(b"example.org")


def test_localhost_is_known_whatever_is_named() -> None:
    rules = AccessRules.of(ApiSettings(allowed_hosts=("api",)))
    assert rules.allows_host(b"localhost:8000")
    assert rules.allows_host(b"api:8000")
