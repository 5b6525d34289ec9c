"""`run api` with a certificate: its address, clients that trust its CA and others, new and bad ones."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import Authority
from tests.support.polling import wait_until
from tests.support.processes import ROOT, Program


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def environment(authority: Authority, database_url: str) -> dict[str, str]:
    files = authority.issue("localhost")
    return {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_API__TLS_CERT": str(files.certificate),
        "TASKMILL_API__TLS_KEY": str(files.key),
    }


def start(env: dict[str, str], folder: Path, *options: str) -> Program:
    return Program("run", "api", "--port", "0", *options, folder=folder, env=env)


@pytest.fixture
def program(authority: Authority, database_url: str, tmp_path: Path) -> Iterator[Program]:
    with start(environment(authority, database_url), tmp_path / "api") as started:
        yield started


def taskmill(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("TASKMILL_")}  # noqa: TID251 - for a child
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", *arguments],
        env={**inherited, "PYTHONPATH": str(ROOT / "src"), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def by_name(program: Program) -> str:
    return str(program.facts["url"]).replace("127.0.0.1", "localhost")


def test_commands_trust_the_ca_that_ssl_cert_file_names(
    program: Program, authority: Authority
) -> None:
    url, trusted = by_name(program), str(authority.file)
    assert url.startswith("https://")
    created = taskmill("task", "create", "a", "--quiet", "--url", url, SSL_CERT_FILE=trusted)
    assert created.returncode == 0, created.stderr
    read = taskmill("task", "list", "--quiet", "--url", url, SSL_CERT_FILE=trusted)
    assert read.stdout == created.stdout


def test_commands_refuse_a_certificate_of_an_unknown_ca(program: Program) -> None:
    refused = taskmill("task", "list", "--url", by_name(program))
    assert refused.returncode == 1
    assert "its certificate is not trusted: unable to get local issuer" in refused.stderr
    assert "SSL_CERT_FILE names the CA to trust" in refused.stderr


def test_commands_refuse_a_certificate_for_another_name(
    program: Program, authority: Authority
) -> None:
    refused = taskmill(
        "task", "list", "--url", program.facts["url"], SSL_CERT_FILE=str(authority.file)
    )
    assert refused.returncode == 1
    assert "IP address mismatch" in refused.stderr


def test_the_health_command_asks_this_machine_whatever_the_certificates_name(
    program: Program, database_url: str, authority: Authority
) -> None:
    url = httpx.URL(program.facts["url"])
    assert taskmill("health", "--url", str(url)).stdout.startswith("ready")
    found = taskmill(
        "health",
        TASKMILL_DATABASE_URL=database_url,
        TASKMILL_API__PORT=str(url.port),
        TASKMILL_API__TLS_CERT=str(authority.file),
        TASKMILL_API__TLS_KEY=str(authority.file),
    )
    assert found.stdout.startswith("ready")
    plain = taskmill("health", "--url", f"http://127.0.0.1:{url.port}")
    assert plain.returncode == 1


def test_a_new_certificate_is_used_without_a_restart(
    program: Program, authority: Authority
) -> None:
    url = httpx.URL(program.facts["url"])
    assert url.port is not None
    address = (url.host, url.port)
    before = ssl.get_server_certificate(address)
    authority.issue("localhost")
    wait_until(lambda: ssl.get_server_certificate(address) != before, "it is new", timeout_s=20)
    wait_until(lambda: bool(program.logged("certificate.replaced")), "it is logged")


def test_several_processes_share_an_address_with_tls(
    authority: Authority, database_url: str, tmp_path: Path
) -> None:
    env = environment(authority, database_url)
    with start(env, tmp_path / "pair", "--processes", "2") as pair:
        assert pair.facts["url"].startswith("https://")
        with httpx.Client(verify=authority.trust()) as http:
            assert http.get(f"{by_name(pair)}/readyz").status_code == 200


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_bad_certificate_is_refused_at_the_start(
    authority: Authority, database_url: str, processes: str
) -> None:
    env = environment(authority, database_url)
    Path(env["TASKMILL_API__TLS_KEY"]).unlink()
    done = taskmill("run", "api", "--port", "0", "--processes", processes, **env)
    assert done.returncode == 1
    assert "TASKMILL_API__TLS_KEY: can't read" in done.stderr
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    del env["TASKMILL_API__TLS_KEY"]
    done = taskmill("run", "api", "--port", "0", "--processes", processes, **env)
    assert done.returncode == 1
    assert "certificate and key belong together" in done.stderr
