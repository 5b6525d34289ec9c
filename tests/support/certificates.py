"""Certificates of a CA that exists for one test only."""

import ssl
from datetime import timedelta
from pathlib import Path

import trustme

from taskmill.runtime.certificates import CertificateFiles
from taskmill.runtime.clock import SystemClock


class Authority:
    """A CA, and the folder for the files of what it issues."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(
        self, *names: str, to: str = "server", expires_in: timedelta = timedelta(days=30)
    ) -> CertificateFiles:
        """Write a certificate for these names and its key; files of the same name are replaced."""
        now = SystemClock().now()
        issued = self._ca.issue_cert(
            *(names or ("127.0.0.1", "localhost")),
            not_before=now - timedelta(days=60),
            not_after=now + expires_in,
        )
        files = CertificateFiles(
            certificate=self._folder / f"{to}.crt", key=self._folder / f"{to}.key"
        )
        replace(files.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        replace(files.key, issued.private_key_pem.bytes())
        return files

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this CA only."""
        return ssl.create_default_context(cafile=self.file)


def replace(path: Path, content: bytes) -> None:
    """Replace a file at once, as programs that renew certificates do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o600)  # as PostgreSQL wants it of a key
    new.rename(path)
