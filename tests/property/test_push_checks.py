"""PostgreSQL says of addresses, and of payloads of type http, what Python says: it has the same rules twice."""

from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import IPv6Address
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from taskmill.wire.push import push_violations
from taskmill.wire.strict_json import parse
from taskmill.wire.urls import target_of
from taskmill.wire.wording import describe
from tests.support.postgres import DatabaseServer

CHECK = "SELECT taskmill.push_violations(%(p)s::json, taskmill.strict_json(%(p)s::json, '/payload', 1048576))"
KNOWN = ["url", "method", "headers", "body", "text", "timeout_s", "expect", "retry_on"]
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


def asked(postgres: psycopg.Connection, query: str, *arguments: object) -> Any:  # noqa: ANN401 - a value of PostgreSQL
    row = postgres.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def origin_in_python(url: str) -> str | None:
    try:
        return target_of(url).origin
    except ValueError:
        return None


def assert_both_see_the_same_origin(postgres: psycopg.Connection, url: str) -> str | None:
    told = origin_in_python(url)
    assert asked(postgres, "SELECT taskmill.url_origin(%s)", url) == told
    return told


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
    told = assert_both_see_the_same_origin(postgres, url)
    assert (told is None) == (size > 2048)


misspelt = st.sampled_from(KNOWN).flatmap(
    lambda name: st.builds(
        lambda at, more, cut: name[:at] + more + name[at + cut :],
        st.integers(0, len(name)),
        st.text("abcdehimorstux_é\n", max_size=4),
        st.integers(0, 4),
    )
)


@whatever_it_draws
@given(name=misspelt | texts | st.text("dehotm", max_size=30))
@example("expect_retry_on")
@example("tetx")
@example("\n" * 5)
def test_both_guess_the_same_name(postgres: psycopg.Connection, name: str) -> None:
    near = get_close_matches(name, KNOWN, n=1)
    told = asked(postgres, "SELECT taskmill.nearest_name(%s, %s)", name, KNOWN)
    assert told == (near[0] if near else None)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 1, 200, 599, 600, 200.0, 604800, 604800.5, "5xx", "2xx", "1xx"])
    | texts
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
header_names = st.sampled_from(
    (
        *("X-A", "x-a", "Authorization", "Host", "TE", "Webhook-Id", "taskmill-x", "Proxy-A"),
        *("a b", "", "[key]", "h" * 100, "h" * 101, "content-type", "Content-Encoding"),
        *("a\r\nb", "é", "k", "\u212a", "!#$%&'*+.^_`|~-"),
    )
)
headers = st.dictionaries(
    header_names,
    st.sampled_from(["", "a b", "~", "\x7f", "é", "a\nb", "v" * 4096, "v" * 4097])
    | texts
    | scalars,
    max_size=4,
) | st.integers(49, 51).map(lambda size: {f"h{n}": "" for n in range(size)})
statuses = st.lists(
    st.integers(198, 601) | st.sampled_from(["2xx", "5xx", "6xx", "2XX", "2xx\n", 200.0, True]),
    max_size=3,
) | st.sampled_from([[200] * 100, [200] * 101, []])
payloads = st.fixed_dictionaries(
    {},
    optional={
        "url": st.just(URL) | urls | anything,
        "method": st.sampled_from(["POST", "HEAD", "post", "TRACE", ["POST"], "x" * 61]) | anything,
        "headers": headers | anything,
        "body": anything,
        "text": texts | anything,
        "timeout_s": st.floats(0, 604801) | scalars,
        "expect": statuses | anything,
        "retry_on": statuses | anything,
    },
)
unknown = st.dictionaries(misspelt | texts | st.just("[key]"), anything, max_size=4)
shuffled = st.builds(lambda known, more: {**more, **known}, payloads, unknown).flatmap(
    lambda payload: st.permutations(list(payload.items())).map(dict)
)


def assert_both_say_the_same(postgres: psycopg.Connection, written: bytes) -> list[dict[str, str]]:
    payload = parse(written)
    assert isinstance(payload, dict)
    said = [
        {"pointer": v.pointer, "expected": v.expected, "got": v.got}
        for v in push_violations(payload)
    ]
    row = postgres.execute(CHECK, {"p": written.decode()}).fetchone()
    assert row is not None
    assert row[0] == said
    return said


@whatever_it_draws
@given(payload=shuffled)
@example({"url": URL, "[key]": 1, "headers": {"[key]": 1, "a": None}})
@example({"url": URL, "timeout_s": -0.0})
@example({"url": URL, "😀": 1, "method": "😀", "~/": 1, "ж" * 70: 2})
def test_python_and_postgresql_say_the_same_of_a_payload(
    postgres: psycopg.Connection, payload: dict[str, Any]
) -> None:
    assert_both_say_the_same(postgres, orjson.dumps(payload))


@pytest.mark.parametrize(
    "literal",
    [
        *("0", "-0", "0.0", "1e-400", "5e-324", "604800", "604800.0", "604800.00000000001"),
        *("604800.0000000002", "6.048e5", "2e2", "200.0", "1e16", "1e300", "9223372036854775807"),
        *("0.1", "1E2", "1e23", "-1e23", "5.079120896967914e16", "1.7976931348623157e308"),
        *("9.5e22", "-18014398509481990.0"),
    ],
)
def test_numbers_are_read_alike_however_they_are_written(
    postgres: psycopg.Connection, literal: str
) -> None:
    written = f'{{"url": {literal}, "timeout_s": {literal}, "headers": {{"a": {literal}}}, "expect": [{literal}]}}'
    assert assert_both_say_the_same(postgres, written.encode())


@whatever_it_draws
@given(
    number=st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(
        lambda whole, power: float(whole) * 10.0**power, st.integers(-999, 999), st.integers(0, 300)
    )
    | st.builds(
        lambda whole, power: float(whole * 2**power), st.integers(2**52, 2**53), st.integers(0, 60)
    )
)
def test_both_show_a_number_alike(postgres: psycopg.Connection, number: float) -> None:
    written = orjson.dumps([number]).decode()
    query = "SELECT taskmill.described(taskmill.strict_json(%s::json, '/payload', 1000) -> 0)"
    assert asked(postgres, query, written) == describe(number)


def test_both_stop_after_as_many_violations(postgres: psycopg.Connection) -> None:
    for size in (98, 99, 100, 101, 300):
        payload = {"body": 1, "text": "x", **{f"n{n}": n for n in range(size)}}
        said = assert_both_say_the_same(postgres, orjson.dumps(payload))
        assert len(said) == min(size + 2, 100)
        many = {"url": 1, "headers": {f"n{n}": n for n in range(size)}, "n": 1}
        assert len(assert_both_say_the_same(postgres, orjson.dumps(many))) == min(size + 2, 100)
