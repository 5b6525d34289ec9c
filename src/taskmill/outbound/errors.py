"""Why a request to an endpoint got no response.

    OutboundError
    ├── AddressRefused           the address may not be called, as its scheme or port: a retry won't help
    │   ├── AddressNotPublic     nor do the settings allow it
    │   └── OwnServiceRefused    it is this installation's database, broker or API
    └── Unreachable              no response: not found, not connected, cut off, too late, or not HTTP

Messages name hosts, never the rest of an address, which may contain secrets.
"""


class OutboundError(Exception):
    """The root of all errors that a request can raise."""


class AddressRefused(OutboundError):
    """The address may not be called; the message says why."""


class AddressNotPublic(AddressRefused):
    """The host has no address that may be called: they are private, or of this machine, or reserved."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to no address that may be called: only public ones may, and those that "
            "TASKMILL_OUTBOUND__ALLOW names"
        )
        self.host = host


class OwnServiceRefused(AddressRefused):
    """One of this installation's own services is there."""

    def __init__(self, host: str, port: int, what: str) -> None:
        super().__init__(
            f"port {port} of {host} is not called: it is {what} of this Taskmill, which it never calls, whatever "
            "TASKMILL_OUTBOUND__ALLOW names"
        )


class Unreachable(OutboundError):
    """There was no response; whether the request arrived is unknown."""
