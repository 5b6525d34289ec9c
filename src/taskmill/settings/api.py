"""Settings of the API: where it listens, who may ask, and how much at once."""

import socket

from pydantic import Field

from taskmill.settings.group import Group
from taskmill.settings.values import Count, HostNames, Origins, Port, SecondsOrZero


def _own_names() -> tuple[str, ...]:
    """Return what this machine is called, by its full name and by the first part of that."""
    name = socket.gethostname().lower()
    return tuple(dict.fromkeys(("localhost", name, name.partition(".")[0])))


class ApiSettings(Group):
    """Where the API listens, and who may ask."""

    host: str = Field(
        "127.0.0.1",
        description="address that it listens on. There is no authentication yet: open it to networks that you "
        "trust only",
    )
    port: Port = Field(8000, description="port that it listens on; 0 picks a free one")
    allowed_hosts: HostNames = Field(
        default_factory=_own_names,
        description="names under which the API and the admin port may be asked, such as `tasks.example.org` or "
        "`*.example.org`: pages of other sites could otherwise ask through a visitor's browser. IP addresses and "
        "`localhost` always may; any other name is answered with 421, but for `/healthz` and `/readyz`",
    )
    allowed_origins: Origins = Field(
        (),
        description="pages elsewhere that may change something and read answers, such as `http://localhost:5173` "
        "of a front-end's development server; the scheme does not count",
    )
    reuse_port: bool = Field(
        False,  # noqa: FBT003 - pydantic's own
        description="share the port with other processes of this machine that do so, too: Linux spreads "
        "connections over them. `taskmill run api --processes N` sets it",
    )
    stop_delay_s: SecondsOrZero = Field(
        0.0,
        description="how long an API that was told to stop serves on while `/readyz` is 503: a little more than "
        "a load balancer takes to notice",
    )
    connections: Count = Field(
        10_000,
        description="most connections at once, of each API process; fewer where the system's limit on open files "
        "is lower. When it is met the one that has been idle for the longest is closed for a new one",
    )
    body_memory_bytes: Count = Field(
        512 * 1024**2,
        description="most memory for bodies over 64 KiB, of each API process, from their first part until the "
        "request is answered: what is over it is answered 503. A body that is alone has room, however large it is",
    )
    body_memory_bytes_per_address: Count = Field(
        256 * 1024**2,
        description="of these, most of one address. More where a proxy passes many large requests on",
    )
    unfinished_per_address: Count = Field(
        256,
        description="most connections of one address whose request has come in part: what is over it is answered "
        "503. More where a proxy passes requests on before it has them whole",
    )
