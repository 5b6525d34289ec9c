"""The certificate of a server: what is wrong with its files, when it is valid, and new ones."""

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trustme import CA

from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.certificates import CertificateFiles, ServerCertificate, load_certificate
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.der import validity_of
from tests.support.api import LogLines, log_lines
from tests.support.certificates import Authority, replace

__all__ = ["log_lines"]  # a fixture

Damage = Callable[[CertificateFiles], object]


now = SystemClock().now


def encrypt(files: CertificateFiles) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked = BestAvailableEncryption(b"a password")
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption_algorithm=locked)
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda files: files.certificate.unlink(), "TASKMILL_API__TLS_CERT: can't read"),
        (lambda files: files.key.unlink(), "TASKMILL_API__TLS_KEY: can't read"),
        (lambda files: files.certificate.write_bytes(b""), "no certificate in PEM format"),
        (lambda files: files.certificate.write_bytes(b"\0\xff" * 99), "no certificate in PEM"),
        (lambda files: files.key.write_bytes(b"\0\xff" * 99), "no private key in PEM format"),
        (
            lambda files: files.key.write_bytes(files.certificate.read_bytes()),
            "no private key in PEM format",
        ),
        (encrypt, "is encrypted, and nobody could enter its password"),
        (
            lambda files: files.key.write_bytes(CA().issue_cert("a").private_key_pem.bytes()),
            "does not belong to the first certificate",
        ),
        (
            lambda files: files.key.write_bytes(CA().private_key_pem.bytes()[:90]),
            "can't use",
        ),
        (
            lambda files: files.certificate.write_bytes(
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            ),
            "can't use",
        ),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(
    tmp_path: Path, damage: Damage, message: str
) -> None:
    files = Authority(tmp_path).issue()
    damage(files)
    with pytest.raises(ConfigurationError, match=message):
        load_certificate(files)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_certificate(CertificateFiles(certificate=tmp_path, key=files.key))


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    context = load_certificate(Authority(tmp_path).issue()).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE


def test_the_dates_are_those_of_the_certificate(tmp_path: Path) -> None:
    loaded = load_certificate(Authority(tmp_path).issue(expires_in=timedelta(days=9)))
    assert loaded.begins_at < now() < loaded.expires_at
    assert abs(now() + timedelta(days=9) - loaded.expires_at) < timedelta(minutes=1)


def test_dates_after_2049_have_another_format(tmp_path: Path) -> None:
    loaded = load_certificate(Authority(tmp_path).issue(expires_in=timedelta(days=365 * 60)))
    assert abs(now() + timedelta(days=365 * 60) - loaded.expires_at) < timedelta(minutes=1)


@pytest.mark.parametrize("length", [0, 1, 5, 40, 100, 150])
def test_part_of_a_certificate_is_no_certificate(length: int) -> None:
    whole = ssl.PEM_cert_to_DER_cert(CA().cert_pem.bytes().decode())
    with pytest.raises(ValueError, match=r"too early|not a certificate"):
        validity_of(whole[:length])
    with pytest.raises(ValueError, match="not a certificate"):
        validity_of(b"\x02\x01\x05" + whole)


def test_a_certificate_that_has_expired_is_used_with_a_warning(
    tmp_path: Path, log_lines: LogLines
) -> None:
    files = Authority(tmp_path).issue(expires_in=timedelta(seconds=-60))
    ServerCertificate(files, now)
    [line] = log_lines.named("certificate.expired")
    assert line["file"] == str(files.certificate)
    assert line["level"] == "warning"


def test_a_certificate_that_is_not_valid_yet_is_used_with_a_warning(
    tmp_path: Path, log_lines: LogLines
) -> None:
    ServerCertificate(Authority(tmp_path).issue(), lambda: now() - timedelta(days=90))
    assert len(log_lines.named("certificate.delayed")) == 1


async def test_a_new_pair_replaces_the_old_one(tmp_path: Path, log_lines: LogLines) -> None:
    authority = Authority(tmp_path)
    certificate = ServerCertificate(authority.issue(), now)
    before = certificate.context
    await certificate.refresh()
    assert certificate.context is before
    authority.issue(expires_in=timedelta(days=77))
    await certificate.refresh()
    assert certificate.context is not before
    [line] = log_lines.named("certificate.replaced")
    assert datetime.fromisoformat(line["expires_at"]) > now() + timedelta(days=76)


async def test_a_broken_new_pair_is_logged_once_and_the_old_one_stays(
    tmp_path: Path, log_lines: LogLines
) -> None:
    authority = Authority(tmp_path)
    files = authority.issue()
    certificate = ServerCertificate(files, now)
    before = certificate.context
    key = files.key.read_bytes()
    authority.issue(to="other")
    replace(files.certificate, (tmp_path / "other.crt").read_bytes())
    await certificate.refresh()
    await certificate.refresh()
    assert certificate.context is before
    [line] = log_lines.named("certificate.refused")
    assert "does not belong" in line["trouble"]
    assert key == files.key.read_bytes()
    # The other half comes later.
    replace(files.key, (tmp_path / "other.key").read_bytes())
    await certificate.refresh()
    assert certificate.context is not before


async def test_files_that_vanish_leave_the_old_pair(tmp_path: Path, log_lines: LogLines) -> None:
    files = Authority(tmp_path).issue()
    certificate = ServerCertificate(files, now)
    before = certificate.context
    files.key.unlink()
    await certificate.refresh()
    assert certificate.context is before
    assert len(log_lines.named("certificate.refused")) == 1


async def test_a_link_that_points_elsewhere_is_noticed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    for folder in ("1", "2"):
        authority.issue(to=f"{folder}/tls")
    link = tmp_path / "data"
    link.symlink_to("1")
    files = CertificateFiles(certificate=link / "tls.crt", key=link / "tls.key")
    certificate = ServerCertificate(files, now)
    before = certificate.context
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(link)
    await certificate.refresh()
    assert certificate.context is not before
