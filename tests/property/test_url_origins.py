"""PostgreSQL reads addresses as Python does: callbacks of one endpoint are found by its origin."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from taskmill.wire.urls import target_of
from tests.support.postgres import DatabaseServer

URL = "https://example.org/hooks"

whatever_it_draws = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def postgres(
    database_server: DatabaseServer, database_template: str
) -> Iterator[psycopg.Connection]:
    url = database_server.create(template=database_template)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    database_server.drop(url)


def fetched(postgres: psycopg.Connection, query: str, *arguments: object) -> Any:  # noqa: ANN401 - a value of PostgreSQL
    row = postgres.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def origin_in_python(url: str) -> str | None:
    try:
        return target_of(url).origin
    except ValueError:
        return None


def assert_both_see_the_same_origin(postgres: psycopg.Connection, url: str) -> str | None:
    origin = origin_in_python(url)
    assert fetched(postgres, "SELECT taskmill.url_origin(%s)", url) == origin
    return origin


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
octets = st.integers(0, 300).map(str) | st.sampled_from(["0", "00", "01", "255", "256", "0x1", ""])
labels = st.text("aZ09-_", max_size=5) | st.sampled_from(["a" * 63, "a" * 64, "xn--e1a", "0x7f"])
names = st.lists(labels | octets, min_size=1, max_size=6).map(".".join)
ipv4s = st.lists(octets, min_size=3, max_size=5).map(".".join)
pieces = st.sampled_from(
    ["::", ":", "0", "1", "ffff", "0000", "00a", "FFFF", "12345", "g", "1.2.3.4"]
)
addresses = (
    st.lists(pieces | ipv4s, max_size=12).map("".join)
    | st.lists(st.sampled_from(["0", "0", "0", "1", "ab"]), min_size=7, max_size=9).map(":".join)
    | st.integers(0, 2**128 - 1).map(lambda n: str(IPv6Address(n)))
    | st.integers(0, 2**32 - 1).map(lambda n: IPv6Address(n + 0xFFFF_0000_0000).exploded)
    | st.integers(0, 2**33).map(lambda n: str(IPv6Address((n << 95 | n >> 20) % 2**128)))
)
hosts = names | ipv4s | addresses.map(lambda text: f"[{text}]") | texts
ports = st.sampled_from(
    [
        "",
        "",
        "",
        ":",
        ":0",
        ":1",
        ":080",
        ":65535",
        ":65536",
        ":99999",
        ":123456",
        ":00000000443",
        ":8o",
    ]
) | texts.map(lambda text: f":{text}")
tails = st.sampled_from(
    [
        "",
        "",
        "/",
        "/a?b=c",
        "?q=@",
        "/#",
        "/\\",
        "@b/",
        " ",
        "\n",
        "/é",
        ".",
        "./",
        "/" + "x" * 2030,
    ]
)
schemes = st.sampled_from(
    ["http://", "https://", "HTTPS://", "hTTp://", "http:/", "ftp://", "//", ""]
)
urls = st.builds("{}{}{}{}".format, schemes, hosts, ports, tails) | texts


@whatever_it_draws
@given(url=urls)
@example("http://" + "a." * 126 + "a/")
@example("http://" + "a." * 126 + "ab/")
@example("http://" + "a." * 126 + "a./")
@example("http://\u017f/")
@example("http\u017f://a/")
@example("http://[::FFFF:1.2.3.4]:81/")
@example("http://[::ffff:0:0]/")
@example("http://[1:0:0:2:0:0:0:3]/")
@example("http://[0:0:0:0:0:0:0:0]/")
@example("http://[1::1.2.3]/")
@example("http://[1:2:3:4:5:6:7::]/")
@example("http://[1:2:3:4:5:6:7::8]/")
def test_both_see_where_an_address_leads(postgres: psycopg.Connection, url: str) -> None:
    assert_both_see_the_same_origin(postgres, url)


@whatever_it_draws
@given(text=addresses)
def test_both_write_an_address_of_ipv6_alike(postgres: psycopg.Connection, text: str) -> None:
    assert_both_see_the_same_origin(postgres, f"https://[{text}]/")


@pytest.mark.parametrize("size", [2047, 2048, 2049])
def test_both_end_at_the_same_length(postgres: psycopg.Connection, size: int) -> None:
    url = URL + "x" * (size - len(URL))
    origin = assert_both_see_the_same_origin(postgres, url)
    assert (origin is None) == (size > 2048)
