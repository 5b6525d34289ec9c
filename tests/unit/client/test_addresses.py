"""Addresses of the service: which are refused at once, and what is shown of them."""

import httpx
import pytest

from taskmill.client import AsyncTaskmillClient, TaskmillClient, Unexpected, Unreachable
from tests.support.fake_service import unused_url
from tests.support.fake_transport import LOST, FakeTransport


def test_a_password_in_the_address_is_not_shown() -> None:
    url = "http://ann:s3@cret@taskmill"
    silent = httpx.MockTransport(FakeTransport(LOST))
    with pytest.raises(Unreachable) as lost:
        TaskmillClient(url, retries=0, transport=silent).stats()
    page = httpx.MockTransport(FakeTransport(httpx.Response(200, html="<html>")))
    with pytest.raises(Unexpected) as strange:
        TaskmillClient(url, transport=page).stats()
    for text in (str(lost.value), lost.value.url, str(strange.value), strange.value.url):
        assert "taskmill" in text
        assert "cret" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:none"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ],
)
def test_an_unusable_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for kind in (TaskmillClient, AsyncTaskmillClient):
        with pytest.raises(Unreachable, match="environment"):
            kind("http://taskmill")


def test_an_unreachable_service_is_an_error_with_its_address() -> None:
    address = unused_url()
    with (
        TaskmillClient(address, retries=1) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.stats()

    assert str(caught.value).startswith(f"no response from Taskmill at {address}: ")
    assert "taskmill up" not in str(caught.value)


def test_an_id_cannot_reach_another_address() -> None:
    transport = FakeTransport(LOST)
    with transport.client(retries=0) as client, pytest.raises(Unreachable):
        client.get("../stats?a")

    assert transport.requests[0].url.raw_path == b"/tasks/%2E%2E%2Fstats%3Fa"


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8000", "ftp://host", "http://", "http://a:b"),
        # What no connection takes.
        *("http://a..b", f"http://{'a' * 64}.org", "http://host/\udcff"),
    ],
)
def test_a_bad_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(Unreachable, match="an address"):
        TaskmillClient(url)
