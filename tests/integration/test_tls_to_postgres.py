"""Connections to PostgreSQL over TLS: its certificate is checked as the address says."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskmill.storage import faults
from taskmill.storage.servers import Servers
from tests.support.certificates import Authority
from tests.support.processes import ROOT
from tests.support.tls_database import bin_dir_with_tls, server_with_tls, terminator


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(
    params=[
        "terminator",
        pytest.param(
            "server",
            marks=pytest.mark.skipif(
                bin_dir_with_tls() is None, reason="no PostgreSQL here speaks TLS itself"
            ),
        ),
    ]
)
async def url(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path, empty_database_url: str
) -> AsyncIterator[str]:
    """PostgreSQL at `localhost`, with a certificate for that name."""
    files = authority.issue("localhost")
    if request.param == "terminator":
        async with terminator(empty_database_url, files) as address:
            yield address
    else:
        bin_dir = bin_dir_with_tls()
        assert bin_dir is not None
        with server_with_tls(tmp_path / "server", bin_dir, files) as address:
            yield address


def verified(url: str, ca: Path) -> str:
    return f"{url}?sslmode=verify-full&sslrootcert={ca}"


async def trouble(url: str) -> str:
    """What is logged when there is no connection."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - `is_outage` says which
        await Servers(url).connect(timeout_s=10)
    assert faults.is_outage(caught.value)
    return faults.in_words(caught.value)


async def test_a_certificate_of_the_ca_and_for_the_name_is_accepted(
    url: str, authority: Authority
) -> None:
    connection = await Servers(verified(url, authority.file)).connect(timeout_s=10)
    try:
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()


async def test_a_certificate_of_another_ca_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    assert "unable to get local issuer certificate" in await trouble(verified(url, other.file))


async def test_a_certificate_for_another_name_is_refused(url: str, authority: Authority) -> None:
    by_address = url.replace("localhost", "127.0.0.1")
    assert "IP address mismatch" in await trouble(verified(by_address, authority.file))


async def test_a_ca_file_that_is_missing_is_named(url: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    assert await trouble(verified(url, missing)) == f"sslrootcert={missing} can't be read"


async def test_a_server_without_tls_is_refused_before_it_gets_the_password(
    authority: Authority,
) -> None:
    received: list[bytes] = []
    is_over = asyncio.Event()

    async def decline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(8))
        writer.write(b"N")
        received.append(await reader.read())
        writer.close()
        await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(decline, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://user:password@localhost:{port}/taskmill"
        assert "rejected SSL upgrade" in await trouble(verified(url, authority.file))
        async with asyncio.timeout(10):
            await is_over.wait()
    assert received[1:] == [b""]


async def test_the_program_works_over_tls_and_refuses_a_wrong_certificate(
    url: str, authority: Authority, tmp_path: Path
) -> None:
    async def migrate(address: str) -> "subprocess.CompletedProcess[str]":
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TASKMILL_")}  # noqa: TID251 - for a child
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "taskmill", "migrate"],
            env={**inherited, "PYTHONPATH": str(ROOT / "src"), "TASKMILL_DATABASE_URL": address},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = await migrate(verified(url, authority.file))
    assert done.returncode == 0, done.stderr
    (tmp_path / "other").mkdir()
    refused = await migrate(verified(url, Authority(tmp_path / "other").file))
    assert refused.returncode == 1
    assert "unable to get local issuer certificate" in refused.stderr
    assert "Traceback" not in refused.stderr
