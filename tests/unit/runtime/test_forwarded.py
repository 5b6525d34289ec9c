"""Whom a request comes from: what trusted proxies say is believed, what a client adds to it is not."""

import time

import pytest
from hypothesis import given, strategies as st

from taskmill.observability.metrics import FORWARDED_IGNORED
from taskmill.runtime.forwarded import Origin, TrustedProxies
from tests.support.api import LogLines, log_lines

__all__ = ["log_lines"]  # a fixture

PEER = "10.0.0.1"
NETWORKS = ("10.0.0.0/8", "fd00::/8", "192.0.2.7")


def origin(*headers: tuple[str, str]) -> Origin:
    return TrustedProxies(NETWORKS).origin(
        PEER, [(name.encode(), value.encode("latin-1")) for name, value in headers]
    )


def ignored() -> dict[str, float]:
    return {reason: FORWARDED_IGNORED.value(reason) for reason in ("malformed", "conflicting")}


@pytest.mark.parametrize(
    ("value", "address", "scheme"),
    [
        ("for=198.51.100.7", "198.51.100.7", None),
        ("for=198.51.100.7;proto=https", "198.51.100.7", "https"),
        ("For=198.51.100.7; Proto=HTTPS ;by=10.0.0.1", "198.51.100.7", "https"),
        ('for="198.51.100.7:4711"', "198.51.100.7", None),
        ('for="[2001:DB8::17]:4711"', "2001:db8::17", None),
        ('for="[2001:db8::17]"', "2001:db8::17", None),
        ('for="[::ffff:198.51.100.7]"', "198.51.100.7", None),
        ('for="198.51.100.7:_port"', "198.51.100.7", None),
        # Trusted hops are skipped, from the right; the scheme is that of the client's hop.
        ("for=198.51.100.7;proto=https, for=10.2.3.4;proto=http", "198.51.100.7", "https"),
        ("for=198.51.100.7,for=192.0.2.7,for=10.2.3.4", "198.51.100.7", None),
        ('for=198.51.100.7, for="[fd00::1]"', "198.51.100.7", None),
        # What is left of the first other address is a client's own.
        ("for=1.1.1.1, for=198.51.100.7", "198.51.100.7", None),
        ("nonsense, for=198.51.100.7", "198.51.100.7", None),
        ('for="1.1.1.1, for=198.51.100.7', "198.51.100.7", None),
        ('for="1.1.1.1\\", for=198.51.100.7', "198.51.100.7", None),
        (", ,for=198.51.100.7", "198.51.100.7", None),
        ('for=198.51.100.7;host="a, for=1.1.1.1"', "198.51.100.7", None),
        ('for=198.51.100.7;host="a\\", for=1.1.1.1"', "198.51.100.7", None),
        ('for=198.51.100.7;host="a,,b"', "198.51.100.7", None),
        # All are proxies: the one that is farthest away.
        ("for=10.9.9.9, for=10.2.3.4", "10.9.9.9", None),
        # A proxy that names nobody stands for those behind it.
        ("for=unknown;proto=https", PEER, "https"),
        ("for=_hidden, for=10.2.3.4", "10.2.3.4", None),
        ("for=1.1.1.1, proto=https", PEER, "https"),
        ("", PEER, None),
    ],
)
def test_forwarded_is_read_from_the_right(value: str, address: str, scheme: str | None) -> None:
    before = ignored()
    assert origin(("forwarded", value)) == (address, scheme)
    assert ignored() == before


@pytest.mark.parametrize(
    ("nodes", "schemes", "address", "scheme"),
    [
        ("198.51.100.7", None, "198.51.100.7", None),
        ("198.51.100.7", "https", "198.51.100.7", "https"),
        ("198.51.100.7:4711", None, "198.51.100.7", None),
        ("2001:db8::17", None, "2001:db8::17", None),
        ("[2001:db8::17]:4711", None, "2001:db8::17", None),
        ("1.1.1.1, 198.51.100.7, 10.2.3.4", "https", "198.51.100.7", "https"),
        ("1.1.1.1, 198.51.100.7, 10.2.3.4", "http, https, http", "198.51.100.7", "https"),
        ("198.51.100.7, 10.2.3.4", " , http", "198.51.100.7", "http"),
        ("unknown", "https", PEER, "https"),
        ("", "https", PEER, "https"),
        (",,", None, PEER, None),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(
    nodes: str, schemes: str | None, address: str, scheme: str | None
) -> None:
    before = ignored()
    headers = [("x-forwarded-for", nodes)]
    if schemes is not None:
        headers.append(("x-forwarded-proto", schemes))
    assert origin(*headers) == (address, scheme)
    assert ignored() == before


def test_the_scheme_alone_is_taken() -> None:
    assert origin(("x-forwarded-proto", "HTTPS")) == (PEER, "https")
    assert origin(("x-forwarded-proto", "http, https")) == (PEER, "https")
    assert origin() == (PEER, None)


def test_several_lines_are_one_list() -> None:
    assert origin(
        ("x-forwarded-for", "1.1.1.1"), ("accept", "*/*"), ("x-forwarded-for", "198.51.100.7")
    ) == ("198.51.100.7", None)
    assert origin(("forwarded", 'for="1.1.1.1'), ("forwarded", "for=198.51.100.7")) == (
        "198.51.100.7",
        None,
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("forwarded", "198.51.100.7")],
        [("forwarded", "for=")],
        [("forwarded", 'for="198.51.100.7')],
        [("forwarded", "for=198.51.100.7;for=1.1.1.1")],
        [("forwarded", "for=198.51.100.7;;")],
        [("forwarded", "for=198.51.100.300")],
        [("forwarded", "for=[2001:db8::17]")],
        [("forwarded", "for=example.org")],
        [("forwarded", "for=198.51.100.7 for=1.1.1.1")],
        [("forwarded", "for=\xff")],
        [("x-forwarded-for", "example.org")],
        [("x-forwarded-for", "1.2.3")],
        [("x-forwarded-for", "2001:db8::17:99999999")],
        [("x-forwarded-proto", "gopher")],
    ],
)
def test_what_is_malformed_is_ignored_and_counted(
    headers: list[tuple[str, str]], log_lines: LogLines
) -> None:
    before = ignored()
    assert origin(*headers) == (PEER, None)
    assert ignored() == {**before, "malformed": before["malformed"] + 1}
    [line] = log_lines.named("forwarded.ignored")
    assert (line["reason"], line["proxy"], line["level"]) == ("malformed", PEER, "warning")


def test_a_malformed_scheme_does_not_hide_the_address() -> None:
    assert origin(("forwarded", "for=198.51.100.7;proto=ftp")) == ("198.51.100.7", None)


def test_it_is_logged_once_and_counted_each_time(log_lines: LogLines) -> None:
    before = ignored()["malformed"]
    proxies = TrustedProxies(NETWORKS)
    for _ in range(5):
        proxies.origin(PEER, [(b"x-forwarded-for", b"a\x1b[2Jb")])
    assert ignored()["malformed"] == before + 5
    [line] = log_lines.named("forwarded.ignored")
    assert "\x1b" not in line["value"]


def test_headers_that_name_different_clients_are_both_ignored(log_lines: LogLines) -> None:
    """A proxy sets one of them, and passes on the other one as a client has sent it."""
    assert origin(("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "198.51.100.7")) == (PEER, None)
    [line] = log_lines.named("forwarded.ignored")
    assert line["reason"] == "conflicting"


def test_headers_that_agree_are_believed() -> None:
    assert origin(
        ("forwarded", "for=198.51.100.7;proto=https"), ("x-forwarded-for", "198.51.100.7")
    ) == ("198.51.100.7", "https")


def test_no_more_than_twenty_proxies_are_believed() -> None:
    hops = ["198.51.100.7", *["10.1.1.1"] * 19]
    assert origin(("x-forwarded-for", ",".join(hops))).address == "198.51.100.7"
    assert origin(("x-forwarded-for", ",".join([*hops, "10.1.1.1"]))).address == "10.1.1.1"
    hops = [f"for={hop}" for hop in hops]
    assert origin(("forwarded", ",".join(hops))).address == "198.51.100.7"
    assert origin(("forwarded", ",".join([*hops, "for=10.1.1.1"]))).address == "10.1.1.1"


@pytest.mark.parametrize(
    "address",
    ["10.255.0.1", "fd00::1", "192.0.2.7", "::ffff:10.0.0.1", "fd00::1%eth0"],
)
def test_addresses_in_the_networks_are_trusted(address: str) -> None:
    assert TrustedProxies(NETWORKS).trusts(address)


@pytest.mark.parametrize("address", ["11.0.0.1", "2001:db8::1", "192.0.2.8", "", "nobody"])
def test_other_addresses_are_not_trusted(address: str) -> None:
    assert not TrustedProxies(NETWORKS).trusts(address)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=50))
def test_nothing_that_a_client_sends_fails_or_names_another_client(
    forwarded: bytes, nodes: bytes, schemes: bytes
) -> None:
    """What comes before the proxy's own element changes nothing."""
    proxies = TrustedProxies(NETWORKS)
    own = b"for=198.51.100.7;proto=https"
    assert proxies.origin(PEER, [(b"forwarded", forwarded + b"," + own)]) == (
        "198.51.100.7",
        "https",
    )
    assert proxies.origin(
        PEER, [(b"x-forwarded-for", nodes + b", 198.51.100.7"), (b"x-forwarded-proto", schemes)]
    ).address == ("198.51.100.7")
    proxies.origin(PEER, [(b"forwarded", forwarded), (b"x-forwarded-for", nodes)])


@pytest.mark.parametrize(
    "value",
    ["," * 60_000, 'a="' * 20_000, 'a=",' * 15_000, "a=b;" * 15_000, '\\"' * 30_000, "1:" * 30_000],
)
def test_the_longest_headers_are_read_in_a_moment(value: str) -> None:
    before = time.thread_time()
    origin(("forwarded", value), ("x-forwarded-for", value), ("x-forwarded-proto", value))
    assert time.thread_time() - before < 0.05
