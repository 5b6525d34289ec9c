"""The syntax of addresses that are to be called."""

import pytest
from hypothesis import given, strategies as st

from taskmill.wire.urls import callback_endpoint, target_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://example.org", "http://example.org:80"),
        ("HTTPS://Example.ORG./a?b=c", "https://example.org:443"),
        ("https://example.org:8443/", "https://example.org:8443"),
        ("http://93.184.216.34/x", "http://93.184.216.34:80"),
        ("http://[2606:4700::1111]:81/", "http://[2606:4700::1111]:81"),
        ("http://my_service/", "http://my_service:80"),
        ("http://localhost.:80/", "http://localhost:80"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]:80"),
        ("http://[::FFFF:7f00:1]?a", "http://[::ffff:127.0.0.1]:80"),
        ("http://a:00081", "http://a:81"),
    ],
)
def test_an_address_is_parsed_into_its_origin(url: str, origin: str) -> None:
    target = target_of(url)
    assert target.origin == origin
    assert callback_endpoint(url) == f"callback:{target.origin}"


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "/path", "//example.org/", "ftp://example.org/", "file:///etc/passwd"),
        *("http://", "http:///path", "http://:80/", "http://example.org:0/", "http://a:99999/"),
        *("http://user@example.org/", "http://user:secret@example.org/", "http://@example.org/"),
        *("http://example.org#@evil.org/", "http://example.org/#part", "http://a\\@b/"),
        *("http://2130706433/", "http://127.1/", "http://0x7f000001/", "http://0177.0.0.1/"),
        *("http://0x7f.0.0.1/", "http://127.0.0.01/", "http://1.2.3/", "http://1.2.3.4.5/"),
        *("http://256.1.1.1/", "http://1.1.1.1.:x/", "http://[fe80::1%25eth0]/", "http://[::1/"),
        *("http://exa mple.org/", "http://example.org/\n", "http://ex%61mple.org/"),
        *("http://пример.рф/", "http://①②⑦.⓪.⓪.①/", "http://a..b/", "http://-a/", "http://a-/"),
        *("http://" + "a" * 64 + "/", "http://a/" + "x" * 2048, "http://[v1.x]/"),
        *("http://a[::1]/", "http://[::1]a/", "http://[::1.]/", "http://[]/", "http:/a/", "http:a"),
        *("http://example.org:", "http://example.org:80a/", "javascript:alert(1)"),
    ],
)
def test_malformed_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it is always this one
        target_of(url)


@given(st.text())
def test_nothing_else_is_ever_raised(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a{text}/", f"https://[{text}]/"):
        try:
            target_of(url)
        except ValueError:
            continue
