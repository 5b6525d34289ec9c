"""Why a request to an endpoint got no response.

    OutboundError
    ├── AddressRefused    the address may not be called: a retry won't help
    └── Unreachable       no response: not found, not connected, cut off, too late, or not HTTP

Messages name hosts, never the rest of an address, which may contain secrets.
"""


class OutboundError(Exception):
    """The root of all errors that a request can raise."""


class AddressRefused(OutboundError):
    """The host has no address that may be called: they are private, or of this machine, or reserved."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to no address that may be called: only public ones may, and those that "
            "TASKMILL_OUTBOUND__ALLOW names"
        )
        self.host = host


class Unreachable(OutboundError):
    """There was no response; whether the request arrived is unknown."""
