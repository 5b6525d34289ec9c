"""The certificate and key of a server: reads them from files, explains what is wrong, and notices new ones.

It opens no connections; `tls` does.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from taskmill.domain.errors import ConfigurationError
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import CERTIFICATE_EXPIRES
from taskmill.runtime.der import validity_of
from taskmill.settings import ApiSettings

log = get_logger(__name__)

_FIRST_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_MISMATCH: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """Files in PEM format: the certificate, followed by those that lead to its CA, and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What new connections use, and when the certificate is valid."""

    context: ssl.SSLContext
    begins_at: datetime
    expires_at: datetime


def certificate_files(settings: ApiSettings) -> CertificateFiles | None:
    """Return the files that are set for the API; None if it speaks plain HTTP."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return CertificateFiles(certificate=settings.tls_cert, key=settings.tls_key)


def check_certificate(settings: ApiSettings) -> None:
    """Check the API's certificate, before other things are started. Raises `ConfigurationError`."""
    files = certificate_files(settings)
    if files is not None:
        load_certificate(files)


class _EncryptedKeyError(Exception):
    """The key needs a password."""


def load_certificate(files: CertificateFiles) -> Loaded:
    """Read and check the files.

    Raises:
        ConfigurationError: one can't be read, or is not what it should be; or the key is of another certificate.
    """
    chain = _read(files.certificate, "TASKMILL_API__TLS_CERT")
    key = _read(files.key, "TASKMILL_API__TLS_KEY")
    first = _FIRST_CERTIFICATE.search(chain)
    if first is None:
        raise ConfigurationError(f"{files.certificate} has no certificate in PEM format")
    if _PRIVATE_KEY.search(key) is None:
        raise ConfigurationError(f"{files.key} has no private key in PEM format")
    context = _context(files)
    try:
        begins_at, expires_at = validity_of(ssl.PEM_cert_to_DER_cert(first[0]))
    except ValueError as error:
        raise ConfigurationError(f"{files.certificate} can't be used: {error}") from None
    return Loaded(context=context, begins_at=begins_at, expires_at=expires_at)


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise ConfigurationError(f"{setting}: can't read {path}: {error.strerror}") from None


def _context(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that renegotiates costs much, and a write could have to wait for it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_password)
    except _EncryptedKeyError:
        raise ConfigurationError(
            f"{files.key} is encrypted, and nobody could enter its password: "
            f"decrypt it with `openssl pkey -in {files.key} -out NEW`"
        ) from None
    except ssl.SSLError as error:
        raise ConfigurationError(_in_words(error, files)) from None
    except OSError as error:
        raise ConfigurationError(
            f"can't read {files.certificate} and {files.key}: {error.strerror}"
        ) from None
    return context


def _refuse_password() -> str:
    raise _EncryptedKeyError


def _in_words(error: ssl.SSLError, files: CertificateFiles) -> str:
    if error.reason in _MISMATCH:
        return (
            f"the key {files.key} does not belong to the first certificate of {files.certificate}"
        )
    reason = (error.reason or "not in PEM format").lower().replace("_", " ")
    return f"can't use {files.certificate} with {files.key}: {reason}"


class ServerCertificate:
    """The certificate that new connections get. Connections that are open keep theirs.

    Raises:
        ConfigurationError: as `load_certificate`.
    """

    def __init__(self, files: CertificateFiles, now: Callable[[], datetime]) -> None:
        self._files = files
        self._now = now
        self._seen = self._fingerprint()
        self._loaded = load_certificate(files)
        self._log_validity()
        CERTIFICATE_EXPIRES.watch(self, ServerCertificate._sample)

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next connection. A new pair gets one of its own: a broken one can't harm it."""
        return self._loaded.context

    async def refresh(self) -> None:
        """Load the files if they have changed. If they can't be used, the old certificate stays."""
        await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        # Taken before the files are read: if they change meanwhile, the next round sees that.
        fingerprint = self._fingerprint()
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        try:
            self._loaded = load_certificate(self._files)
        except ConfigurationError as error:
            log.error(  # noqa: TRY400 - the message says it all
                "certificate.refused",
                trouble=str(error),
                expires_at=self._loaded.expires_at.isoformat(),
            )
            return
        log.info("certificate.replaced", expires_at=self._loaded.expires_at.isoformat())
        self._log_validity()

    def _log_validity(self) -> None:
        loaded, now = self._loaded, self._now()
        facts = {
            "file": str(self._files.certificate),
            "begins_at": loaded.begins_at.isoformat(),
            "expires_at": loaded.expires_at.isoformat(),
        }
        if now < loaded.begins_at:
            log.warning("certificate.delayed", **facts)
        elif now >= loaded.expires_at:
            log.warning("certificate.expired", **facts)

    def _fingerprint(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(_version, (self._files.certificate, self._files.key)))

    def _sample(self) -> dict[tuple[str, ...], float]:
        return {(): self._loaded.expires_at.timestamp()}


def _version(path: Path) -> tuple[int, ...]:
    """Return what changes when the file is replaced or rewritten; it follows links, as Kubernetes has them."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
