"""An address is one program's, or shared by those who mean to share it."""

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


def test_a_held_address_is_for_those_who_share_it(port: int) -> None:
    with (
        listening_socket(HOST, port, "--port", reuse_port=True),
        listening_socket(HOST, port, "--port", reuse_port=True) as second,
    ):
        assert second.getsockname()[1] == port


@pytest.mark.parametrize("has_listener", [False, True])
def test_a_held_address_is_nobody_elses(port: int, has_listener: bool) -> None:  # noqa: FBT001 - a parameter
    listeners = [listening_socket(HOST, port, "--port", reuse_port=True)] if has_listener else []
    for take in (reserved_address, listening_socket):
        with pytest.raises(ConfigurationError, match=f"port {port}: .*Choose another with --port"):
            take(HOST, port, "--port").close()
    # A program that knows nothing of Taskmill, and takes what it can.
    with pytest.raises(OSError, match="in use"):
        socket.create_server((HOST, port)).close()
    for listener in listeners:
        listener.close()


def test_nobody_holds_an_address_on_which_somebody_listens_and_shares() -> None:
    with listening_socket(HOST, 0, "--port", reuse_port=True) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            reserved_address(HOST, port, "--port").close()


def test_of_those_who_want_an_address_at_the_same_time_one_gets_it_at_most() -> None:
    together = Barrier(4)

    def want(port: int) -> socket.socket | None:
        together.wait(10)
        try:
            return reserved_address(HOST, port, "--port")
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            with listening_socket(HOST, 0, "--port") as free:
                port = free.getsockname()[1]
            holders = [one for one in threads.map(want, [port] * 4) if one is not None]
            for one in holders:
                one.close()
            assert len(holders) <= 1


def test_an_address_that_was_held_is_free_again_though_connections_linger(
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
