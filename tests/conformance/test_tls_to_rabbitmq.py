"""Connections to RabbitMQ over TLS: its certificate is checked, unless the address says not to."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from taskmill.amqp.connection import BrokerLink
from tests.support.certificates import Authority
from tests.support.rabbitmq import FAST_SETTINGS, BrokerServer


class Secure(NamedTuple):
    """A node with a certificate for `localhost`, its address without a query, and the CA."""

    url: str
    authority: Authority


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def node() -> Iterator[Secure]:
    with tempfile.TemporaryDirectory(prefix="taskmill-tls-") as name:
        folder, port = Path(name), free_port()
        authority = Authority(folder)
        files = authority.issue("localhost")
        settings = {
            **FAST_SETTINGS,
            "listeners.ssl.default": f"127.0.0.1:{port}",
            "ssl_options.cacertfile": str(authority.file),
            "ssl_options.certfile": str(files.certificate),
            "ssl_options.keyfile": str(files.key),
        }
        with BrokerServer(folder / "node", settings=settings) as server:
            password = urlsplit(server.url).password
            yield Secure(f"amqps://taskmill:{password}@localhost:{port}/", authority)


async def outcome(url: str) -> str | None:
    """Connect once: None if that works, else what the log and `/readyz` say."""
    opened, stop = asyncio.Event(), asyncio.Event()

    async def on_opened(_: object) -> None:
        opened.set()

    link = BrokerLink(url, name="test", opened=on_opened)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(link.run(stop))
        while not (opened.is_set() or link.has_tried):  # noqa: ASYNC110 - the link has no event for it
            await asyncio.sleep(0.02)
        trouble = None if opened.is_set() else link.trouble
        stop.set()
    return trouble


async def test_a_certificate_of_the_ca_and_for_the_name_is_accepted(node: Secure) -> None:
    assert await outcome(f"{node.url}?cafile={node.authority.file}") is None


async def test_a_certificate_of_another_ca_is_refused(node: Secure, tmp_path: Path) -> None:
    trouble = await outcome(f"{node.url}?cafile={Authority(tmp_path).file}")
    assert "certificate verify failed: self-signed certificate in certificate chain" in str(trouble)


async def test_the_cas_of_the_system_are_asked_without_a_file(node: Secure) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in str(await outcome(node.url))


async def test_a_certificate_for_another_name_is_refused(node: Secure) -> None:
    by_address = node.url.replace("localhost", "127.0.0.1")
    trouble = await outcome(f"{by_address}?cafile={node.authority.file}")
    assert "IP address mismatch" in str(trouble)


async def test_a_ca_file_that_is_missing_is_named(node: Secure, tmp_path: Path) -> None:
    trouble = await outcome(f"{node.url}?cafile={tmp_path}/missing.pem")
    assert trouble == f"cafile={tmp_path}/missing.pem can't be read"


async def test_tls_with_a_port_without_it_is_an_error(node: Secure, broker_url: str) -> None:
    plain = broker_url.replace("amqp://", "amqps://")
    assert await outcome(f"{plain}?cafile={node.authority.file}") is not None
