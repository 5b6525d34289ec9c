"""Settings of how many requests a client may send; `runtime/rate_limits` applies them."""

from pydantic import Field

from taskmill.settings.group import Group
from taskmill.settings.values import Count, CountOrZero, Networks


class RateLimitSettings(Group):
    """How many requests an API key may send, and an address without one; above it the response is 429."""

    key_rate: CountOrZero = Field(
        5000,
        description="requests a second that each API process accepts of all API keys with one name, in the long "
        "run; 0: any number",
    )
    key_burst: Count = Field(
        50_000,
        description="most of them at once, after a pause",
    )
    address_rate: CountOrZero = Field(
        5000,
        description="requests a second that each API process accepts of one address, without an API key that it "
        "knows, in the long run; 0: any number. One /64 of IPv6 is one address. Lower it where `TASKMILL_AUTH` is "
        "`required`: then only pages, documents and wrong keys come without one",
    )
    address_burst: Count = Field(50_000, description="most of them at once, after a pause")
    exempt: Networks = Field(
        ("127.0.0.0/8", "::1/128"),
        description="networks whose addresses are not limited; API keys are limited from there, too",
    )
