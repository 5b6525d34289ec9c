"""`taskmill health`: whether the service, or the role in this container, is ready.

Container engines run it every few seconds, so it starts fast: plain `http.client`, no web client, no models, and
settings only where the environment names no address. It never uses a proxy.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

import click

from taskmill.cli.numbers import Whole
from taskmill.domain.errors import ConfigurationError

_EPILOG = """\b
Examples:
  taskmill health
  taskmill health --admin-port 8001
  taskmill health --url https://tasks.example.org --json
"""
# The service responds within 5 s even when the database is away; container engines should wait a little longer.
_TIMEOUT_S = 6.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - connected to, not bound


class _Readiness(NamedTuple):
    """Ready, with the state of each part; or not, and why."""

    parts: Mapping[str, str]
    trouble: str | None = None


@click.command(epilog=_EPILOG)
@click.option("--url", envvar="TASKMILL_URL", show_envvar=True, help="Where the service is.")
@click.option(
    "--admin-host",
    envvar="TASKMILL_ADMIN_HOST",
    show_envvar=True,
    default="127.0.0.1",
    metavar="ADDRESS",
    help="With --admin-port.",
)
@click.option(
    "--admin-port",
    envvar="TASKMILL_ADMIN_PORT",
    show_envvar=True,
    type=Whole(0, 65535),
    metavar="N",
    help="Check the admin port of a role.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
def health(*, url: str | None, admin_host: str, admin_port: int | None, as_json: bool) -> int:
    """Check whether the service is ready; exit status 0 if it is, else 1.

    Without --url it checks the admin port, if one is set, else the API of this machine.
    """
    address = url or (_at(admin_host, admin_port) if admin_port else _set_address())
    readiness = _probe(address)
    click.echo(_as_json(readiness) if as_json else "  ".join(_in_words(readiness)))
    return 0 if readiness.trouble is None else 1


def _set_address() -> str:
    """Return the address from the settings. Slower: it imports what a health check does without."""
    from taskmill.settings import load  # noqa: PLC0415 - see above

    settings = load()
    if settings.admin_port:
        return _at(settings.admin_host, settings.admin_port)
    scheme = "http" if settings.api.tls_cert is None else "https"
    return _at(settings.api.host, settings.api.port, scheme)


def _at(host: str, port: int, scheme: str = "http") -> str:
    known = _ANYWHERE.get(host, host)
    return f"{scheme}://[{known}]:{port}" if ":" in known else f"{scheme}://{known}:{port}"


def _probe(url: str) -> _Readiness:
    try:
        status, body = _get(urlsplit(url))
        if status == http.client.OK:
            return _Readiness(json.loads(body)["parts"])
        if status == http.client.SERVICE_UNAVAILABLE:
            return _Readiness({}, json.loads(body)["detail"])
    except ssl.SSLCertVerificationError as error:
        reason = f"{error.verify_message}; SSL_CERT_FILE names the CA to trust"
        return _Readiness({}, f"no response from {url}: {reason}")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return _Readiness({}, f"no response from {url}: {reason}")
    except (ValueError, TypeError, KeyError):
        return _Readiness({}, f"the response from {url} is not Taskmill's")
    return _Readiness({}, f"{url} responds with {status}")


def _get(url: SplitResult) -> tuple[int, bytes]:
    """Read `/readyz` below the address, on a connection of its own."""
    secure = url.scheme == "https"
    if url.hostname is None or not (secure or url.scheme == "http"):
        raise ConfigurationError(f"{url.geturl()} is not an address: expected http://host:port")
    connection = (
        http.client.HTTPSConnection(
            url.hostname, url.port, timeout=_TIMEOUT_S, context=_trust(url.hostname)
        )
        if secure
        else http.client.HTTPConnection(url.hostname, url.port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request("GET", url.path.rstrip("/") + "/readyz", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _trust(host: str) -> ssl.SSLContext:
    """Check the certificate, except on this machine: it is for the name that others use, and nothing is secret."""
    context = ssl.create_default_context()
    if host in {"localhost", "::1"} or host.startswith("127."):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _in_words(readiness: _Readiness) -> Iterator[str]:
    """Yield the parts of one line; text from outside can't steer the terminal."""
    if readiness.trouble is not None:
        yield click.style("not ready", fg="red")
        yield _printable(readiness.trouble)
        return
    yield click.style("ready", fg="green")
    for part, state in readiness.parts.items():
        if state != "ok":
            yield click.style(_printable(f"{part} {state}"), fg="yellow")


def _as_json(readiness: _Readiness) -> str:
    if readiness.trouble is not None:
        return json.dumps({"ready": False, "detail": readiness.trouble})
    return json.dumps({"ready": True, "parts": cast("dict[str, str]", readiness.parts)})


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
