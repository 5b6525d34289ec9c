"""Why a request to an endpoint came to no answer.

    OutboundError
    ├── AddressRefused    where the address leads, nobody is to be called: asking again won't help
    └── Unreachable       no answer: not found, not connected, cut off, too late, or no HTTP

Messages name hosts, never the rest of an address, which may hold secrets.
"""


class OutboundError(Exception):
    """The root of what a request may come to instead of an answer."""


class AddressRefused(OutboundError):
    """The host has no address that may be called: they are private, or of this machine, or reserved."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to no address that may be called: only public ones may, and those that "
            "TASKMILL_OUTBOUND__ALLOW names"
        )
        self.host = host


class Unreachable(OutboundError):
    """There was no answer; whether the request arrived is unknown."""
