"""An address belongs to one program, or is shared by listeners with `reuse_port`."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.http_server import listening_socket, reserved_address

HOST = "127.0.0.1"


@pytest.fixture
def holder() -> Iterator[socket.socket]:
    with reserved_address(HOST, 0, "--port") as holder:
        yield holder


@pytest.fixture
def port(holder: socket.socket) -> int:
    number: int = holder.getsockname()[1]
    return number


def test_a_reserved_address_is_for_listeners_that_share_it(port: int) -> None:
    with (
        listening_socket(HOST, port, "--port", reuse_port=True),
        listening_socket(HOST, port, "--port", reuse_port=True) as second,
    ):
        assert second.getsockname()[1] == port


@pytest.mark.parametrize("has_listener", [False, True])
def test_a_reserved_address_can_not_be_used_by_others(port: int, has_listener: bool) -> None:  # noqa: FBT001 - a parameter
    listeners = [listening_socket(HOST, port, "--port", reuse_port=True)] if has_listener else []
    for take in (reserved_address, listening_socket):
        with pytest.raises(ConfigurationError, match=f"port {port}: .*Choose another with --port"):
            take(HOST, port, "--port").close()
    # A program that knows nothing of Taskmill.
    with pytest.raises(OSError, match="in use"):
        socket.create_server((HOST, port)).close()
    for listener in listeners:
        listener.close()


def test_an_address_with_a_sharing_listener_can_not_be_reserved() -> None:
    with listening_socket(HOST, 0, "--port", reuse_port=True) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            reserved_address(HOST, port, "--port").close()


def test_only_one_of_several_reserves_an_address_at_the_same_time() -> None:
    barrier = Barrier(4)

    def reserve(port: int) -> socket.socket | None:
        barrier.wait(10)
        try:
            return reserved_address(HOST, port, "--port")
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            with listening_socket(HOST, 0, "--port") as free:
                port = free.getsockname()[1]
            holders = [one for one in threads.map(reserve, [port] * 4) if one is not None]
            for one in holders:
                one.close()
            assert len(holders) <= 1


def test_a_reserved_address_is_free_again_though_connections_linger(
    holder: socket.socket, port: int
) -> None:
    with listening_socket(HOST, port, "--port", reuse_port=True) as listener:
        listener.setblocking(True)  # noqa: FBT003 - the library's signature
        with socket.create_connection((HOST, port)) as client:
            listener.accept()[0].close()  # it closes first: its end lingers
            assert client.recv(1) == b""
    holder.close()
    with reserved_address(HOST, port, "--port") as again:
        assert again.getsockname()[1] == port
