"""PostgreSQL behind TLS: a server that speaks it, and one that does not with a terminator in front."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.cluster import DATABASE, USER, prepare_cluster
from taskmill.embedded.data_folder import DataFolder
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.programs import Programs
from taskmill.runtime.certificates import CertificateFiles, load_certificate
from tests.support.postgres import chosen_bin_dir
from tests.support.replicated import Server

_SSL_REQUEST = struct.pack("!II", 8, 80877103)


def bin_dir_with_tls() -> Path | None:
    """A PostgreSQL on this machine that speaks TLS; the wheel's does not, Debian's does."""
    chosen = chosen_bin_dir()
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in ([chosen] if chosen else []) + installed:
        program = folder / "postgres"
        if program.exists() and b"libssl" in program.read_bytes():
            return folder
    return None


@contextmanager
def server_with_tls(folder: Path, bin_dir: Path, files: CertificateFiles) -> Iterator[str]:
    """Run a server of its own; yields its address by the name `localhost`."""
    folder.mkdir()
    identity = choose_identity(folder)
    identity.own(folder)
    copies = {
        "ssl_cert_file": _copy(files.certificate, folder),
        "ssl_key_file": _copy(files.key, folder),
    }
    for path in copies.values():
        identity.own(path)
    binaries = find_binaries(bin_dir, data_dir=folder, data_major=None)
    programs = Programs(binaries=binaries, identity=identity, folder=folder)
    data = DataFolder(folder)
    password = prepare_cluster(data, programs, fsync=False)
    server = Server(programs=programs, cluster=data.cluster)
    try:
        server.start({"ssl": "on", **{name: str(path) for name, path in copies.items()}})
        yield f"postgresql://{USER}:{password}@localhost:{server.port}/{DATABASE}"
    finally:
        server.kill()


def _copy(path: Path, folder: Path) -> Path:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    return copy


@asynccontextmanager
async def terminator(url: str, files: CertificateFiles) -> AsyncIterator[str]:
    """Accept TLS as PostgreSQL does, in front of the one at `url`; yields the address by the name `localhost`."""
    parts = urlsplit(url)
    socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
    context = load_certificate(files).context
    context.set_alpn_protocols(["postgresql"])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(8) == _SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
            behind, to_behind = await asyncio.open_unix_connection(socket)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, to_behind))
                group.create_task(_pump(behind, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://{parts.username}:{parts.password}@localhost:{port}{parts.path}"
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
