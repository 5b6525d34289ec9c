"""What is taken for a response of the service, and what is not."""

import httpx
import pytest

from taskmill.client import TaskmillClient, Unexpected, Unreachable
from tests.support.fake_transport import FakeTransport, a_response


def test_a_response_that_can_not_be_decoded_is_no_response() -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    broken = httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"no gzip"))
    with pytest.raises(Unreachable, match="can't be decoded"):
        FakeTransport(broken).client(retries=0).stats()


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_the_result_is_unexpected(status: int) -> None:
    with pytest.raises(Unexpected, match=f"HTTP {status}"):
        FakeTransport(httpx.Response(status)).client().stats()


def test_a_page_of_another_program_is_not_taken_for_a_response(url: str) -> None:
    with TaskmillClient(f"{url}/page?") as client, pytest.raises(Unexpected, match="text/html"):
        client.stats()


def test_json_of_another_shape_is_not_taken_for_a_response() -> None:
    with pytest.raises(Unexpected, match="total"):
        FakeTransport(a_response({"total": "many"})).client().stats()
