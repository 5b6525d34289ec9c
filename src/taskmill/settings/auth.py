"""Whether API keys are required: as the settings say, or by where the API listens."""

from typing import TYPE_CHECKING, Final

from taskmill.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from taskmill.settings import Settings

AUTH_DESCRIPTION: Final = (
    "`required`: a request needs an API key (`taskmill key create`) that grants what it does; `/healthz`, "
    "`/readyz` and the documents need none. `off`: whoever reaches the API may do everything. `auto`: off if it "
    "listens on a loopback address (`TASKMILL_API__HOST`), else required. An intake without the API, to which "
    "neither setting is given, requires keys for messages as soon as there is one"
)
_OPEN: Final = """TASKMILL_AUTH=off, but the API is to listen on {host}: whoever reaches it could do everything.
Leave TASKMILL_AUTH unset, which requires API keys there (`taskmill key create` makes them); or let it listen on
127.0.0.1 (--host, TASKMILL_API__HOST); or, if this is meant, set TASKMILL_API__OPEN_TO_ALL=true"""


def requires_keys(settings: "Settings") -> bool:
    """Return whether requests need an API key."""
    if settings.auth == "auto":
        return not settings.api.is_on_loopback
    return settings.auth == "required"


def knows_by_settings(settings: "Settings") -> bool:
    """Return whether the settings say if keys are required, also in a process that does not serve the API.

    `auto` without an address of the API says nothing there: the API may listen elsewhere.
    """
    is_address_given = "host" in settings.api.model_fields_set
    return settings.auth != "auto" or is_address_given


def is_open_to_all(settings: "Settings") -> bool:
    """Return whether others than this machine may do everything without a key."""
    return not (requires_keys(settings) or settings.api.is_on_loopback)


def check_auth(settings: "Settings") -> None:
    """Check that an API which is open to all is meant to be.

    Raises:
        ConfigurationError: It is not; the message says what to do.
    """
    if is_open_to_all(settings) and not settings.api.open_to_all:
        raise ConfigurationError(_OPEN.format(host=settings.api.host or "all addresses"))
