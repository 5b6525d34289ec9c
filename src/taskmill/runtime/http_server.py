"""Serves an ASGI app: a socket, uvicorn in this process, and an orderly shutdown. It handles no signals."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Generic, TypeVar

import uvicorn
from starlette.types import ASGIApp

from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.certificates import ServerCertificate
from taskmill.runtime.connections import DEFAULT_LIMITS, ConnectionLimits, Connections
from taskmill.runtime.file_limit import file_limit
from taskmill.runtime.forwarded import TrustedProxies
from taskmill.runtime.http_protocol import HttpProtocol
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace
from taskmill.runtime.tls import TlsProtocol
from taskmill.runtime.uvicorn_internals import Server, ServerState
from taskmill.runtime.waiting import alongside

# Longer than the pauses of clients that poll, shorter than most load balancers keep a connection.
_KEEP_ALIVE_S = 30
_BACKLOG = 2048
# Open files other than connections of clients: the database's, the broker's, logs, pipes to children.
_OTHER_FILES = 128

App = TypeVar("App", bound=ASGIApp)


class HttpServer(Generic[App]):
    """A service that listens on `host` and `port` (0 picks a free one).

    `url` and the `port` that it got are set, and requests are served, once `started` is set. A connection on which
    nothing comes for `keep_alive_s` is closed, unless a request is being served; a request that has begun has to
    come at `pace`. There are no more connections than `limits` and the system allow. `advice` names the options
    for another address. When it is stopped it serves on for `stop_delay_s`, so that load balancers notice in time.
    With `reuse_port` other processes may listen there, too. With a `certificate` it speaks TLS only.
    What `proxies` send is seen as their clients have sent it.
    """

    name = "http"
    advice = "another host or port"
    usual_grace_s = 10.0
    usual_limits = DEFAULT_LIMITS

    def __init__(
        self,
        app: App,
        *,
        host: str,
        port: int,
        grace_s: float | None = None,
        keep_alive_s: float = _KEEP_ALIVE_S,
        stop_delay_s: float = 0.0,
        reuse_port: bool = False,
        limits: ConnectionLimits | None = None,
        pace: Pace = DEFAULT_PACE,
        certificate: ServerCertificate | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        self.started = asyncio.Event()
        self.url: str | None = None
        self.port = port
        self._app = app
        self._host = host
        self._grace_s = self.usual_grace_s if grace_s is None else grace_s
        self._keep_alive_s = keep_alive_s
        self._stop_delay_s = stop_delay_s
        self._reuse_port = reuse_port
        self._limits = self.usual_limits if limits is None else limits
        self._pace = pace
        self._certificate = certificate
        self._proxies = proxies

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then requests in flight have `grace_s` to finish.

        Raises:
            ConfigurationError: the address can't be listened on.
        """
        listener = listening_socket(self._host, self.port, self.advice, reuse_port=self._reuse_port)
        self.port = listener.getsockname()[1]
        self.url = url_of(listener, is_secure=self._certificate is not None)
        server = Server(self._config(), on_started=self._on_started)
        try:
            async with alongside(self._end(server, stop)):
                await server.serve(sockets=[listener])
        finally:
            server.abandon()
            listener.close()
        self.on_stopped()

    def on_started(self) -> None:
        """Called when the first request can be served."""

    def on_stopping(self) -> None:
        """Called when the server begins to stop; requests are still served."""

    def on_stopped(self) -> None:
        """Called when the server has stopped."""

    def _on_started(self) -> None:
        self.on_started()
        self.started.set()

    async def _end(self, server: Server, stop: asyncio.Event) -> None:
        await stop.wait()
        self.on_stopping()
        await asyncio.sleep(self._stop_delay_s)
        server.end()

    def _connections(self) -> Connections:
        """Count connections up to the limit, or to what the limit on open files leaves for them."""
        files = file_limit()
        most = max(files - _OTHER_FILES, files // 2)
        limits = replace(self._limits, total=min(self._limits.total, most))
        return Connections(self.name, limits, asyncio.get_running_loop().time)

    def _protocol(self) -> Callable[..., asyncio.Protocol]:
        """Return what makes the protocol of a connection, from uvicorn's arguments."""
        connections, certificate = self._connections(), self._certificate
        plain = partial(
            HttpProtocol, connections=connections, pace=self._pace, proxies=self._proxies
        )
        if certificate is None:
            return plain

        def secure(*, server_state: ServerState, **others: Any) -> TlsProtocol:  # noqa: ANN401 - as they come
            return TlsProtocol(
                partial(plain, server_state=server_state, **others),
                context=certificate.context,
                connections=connections,
                pace=self._pace,
                server_state=server_state,
            )

        return secure

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=self._protocol(),  # type: ignore[arg-type]  # it is only called
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            # uvicorn declares int for both, but passes them to asyncio unchanged.
            timeout_keep_alive=self._keep_alive_s,  # type: ignore[arg-type]
            timeout_graceful_shutdown=self._grace_s,  # type: ignore[arg-type]
        )


def listening_socket(
    host: str, port: int, advice: str, *, reuse_port: bool = False
) -> socket.socket:
    """Listen on an address; with `reuse_port` beside others that do so.

    Raises:
        ConfigurationError: it can't; `advice` names the options for another address.
    """
    return _bind(host, port, advice, reuse_port=reuse_port, listens=True)


def reserved_address(host: str, port: int, advice: str) -> socket.socket:
    """Bind an address without listening, so that only sockets with `reuse_port` may listen there.

    On Linux they must belong to processes of the same user.

    Raises:
        ConfigurationError: as for `listening_socket`, also when others reserve the address, or share it.
    """
    # A listener that does not share has the address alone. Then it shares it with the socket that stays.
    with listening_socket(host, port, advice) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder = _bind(host, alone.getsockname()[1], advice, reuse_port=True)
        # `_bind` sets it because old connections may linger. But with it, Linux lets others listen beside a socket
        # that does not listen itself.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return holder


def _bind(
    host: str, port: int, advice: str, *, reuse_port: bool = False, listens: bool = False
) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(_refusal(host, port, advice, error)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        if listens:
            listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the library's signature
    except OSError as error:
        listener.close()
        raise ConfigurationError(_refusal(host, port, advice, error)) from None
    return listener


def _refusal(host: str, port: int, advice: str, error: OSError) -> str:
    why = error.strerror or str(error)
    return (
        f"can't listen on {host} port {port}: {why}. "
        f"Choose another with {advice}; port 0 picks a free one"
    )


def url_of(listener: socket.socket, *, is_secure: bool) -> str:
    """Return an address that a client on this machine can use."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"{'https' if is_secure else 'http'}://{shown}:{port}"
