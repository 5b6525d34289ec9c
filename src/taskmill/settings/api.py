"""Settings of the API: where it listens, which requests it accepts, and how many at once."""

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from taskmill.settings.group import Group
from taskmill.settings.values import Count, HostNames, Networks, Origins, Port, SecondsOrZero


def _own_names() -> tuple[str, ...]:
    """Return the names of this machine: its full name, and the first part of it."""
    name = socket.gethostname().lower()
    return tuple(dict.fromkeys(("localhost", name, name.partition(".")[0])))


class ApiSettings(Group):
    """Where the API listens, and which requests it accepts."""

    host: str = Field(
        "127.0.0.1",
        description="address that it listens on. Beyond this machine (127.0.0.1, `::1`, `localhost`) it requires "
        "API keys (`TASKMILL_AUTH`)",
    )
    open_to_all: bool = Field(
        False,  # noqa: FBT003 - pydantic's own
        description="with `TASKMILL_AUTH=off`: it is meant that the API requires no keys beyond this machine. "
        "Without it such an API does not start",
    )
    port: Port = Field(8000, description="port that it listens on; 0 picks a free one")
    tls_cert: Path | None = Field(
        None,
        description="file in PEM format with the certificate of the API, followed by those that lead to its CA. "
        "With it the API speaks HTTPS, TLS 1.2 or newer, and no plain HTTP. New files are noticed within 5 s",
    )
    tls_key: Path | None = Field(
        None, description="file in PEM format with the private key of `tls_cert`, not encrypted"
    )
    trusted_proxies: Networks = Field(
        (),
        description="networks of proxies in front of the API, such as `10.0.0.0/8`. For what they send, limits "
        "for each address and log lines are about the client that `Forwarded`, or `X-Forwarded-For`, names; the "
        "headers of all others are ignored. Name only proxies that set or remove these headers",
    )
    allowed_hosts: HostNames = Field(
        default_factory=_own_names,
        description="host names under which the API and the admin port accept requests, such as "
        "`tasks.example.org` or `*.example.org`: pages of other sites could otherwise send requests through a "
        "visitor's browser. IP addresses and `localhost` are always accepted; the response to any other name is "
        "421, except for `/healthz` and `/readyz`",
    )
    allowed_origins: Origins = Field(
        (),
        description="pages elsewhere that may change something and read responses, such as "
        "`http://localhost:5173` of a front-end's development server; the scheme does not count",
    )
    reuse_port: bool = Field(
        False,  # noqa: FBT003 - pydantic's own
        description="share the port with other processes of this machine that share it, too: Linux spreads "
        "connections over them. `taskmill run api --processes N` sets it",
    )
    stop_delay_s: SecondsOrZero = Field(
        0.0,
        description="how long an API that must stop goes on serving while `/readyz` is 503: a little longer than "
        "a load balancer needs to notice",
    )
    connections: Count = Field(
        10_000,
        description="most connections at once, of each API process; fewer where the system's limit on open files "
        "is lower. At the limit, the longest idle connection is closed for a new one",
    )
    body_memory_bytes: Count = Field(
        512 * 1024**2,
        description="most memory for bodies over 64 KiB, of each API process, from their first part until the "
        "response: requests above it get 503. A single body is accepted, however large it is",
    )
    body_memory_bytes_per_address: Count = Field(
        256 * 1024**2,
        description="of this, most for one address. Raise it for a proxy that forwards many large requests",
    )
    unfinished_per_address: Count = Field(
        256,
        description="most connections of one address with an incomplete request: those above it get 503. Raise "
        "it for a proxy that forwards requests before it has all of them",
    )

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can reach it. Names other than `localhost` may lead anywhere."""
        try:
            return self.host.lower() == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _has_both_files(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError(
                "certificate and key belong together: set both TASKMILL_API__TLS_CERT and TASKMILL_API__TLS_KEY"
            )
        return self
