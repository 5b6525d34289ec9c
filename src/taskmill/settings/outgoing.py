"""The groups of settings for requests to endpoints of others."""

from pydantic import Field, model_validator

from taskmill.settings.group import Group
from taskmill.settings.values import MOST, Count, Hosts, PortRanges, Seconds, SigningKeys


class OutboundSettings(Group):
    """How endpoints are called: by tasks of type http, and for webhooks."""

    allow: Hosts = Field(
        (),
        description="networks (`10.0.0.0/8`), addresses and names (`hooks.internal`, `*.svc.local`) that may be "
        "called though they are not public; a listed name may have any address",
    )
    https_only: bool = Field(
        False,  # noqa: FBT003 - pydantic's own
        description="call `https` only",
    )
    ports: PortRanges = Field(
        (),
        description="ports and ranges of ports that may be called (`443,8000-8999`); empty for all",
    )
    push_signing_keys: SigningKeys = Field(
        (),
        description="keys that sign pushes, `whsec_…` each; several while receivers change from one to the "
        "next. Never shown. Without any, pushes are not signed",
    )
    callback_signing_keys: SigningKeys = Field(
        (),
        description="keys that sign callbacks, likewise, and none of those that sign pushes. Without any, "
        "callbacks are signed with the key that `taskmill webhook callback-key` prints",
    )
    timeout_s: Seconds = Field(30.0, description="timeout of a push without one in its payload")
    response_bytes: Count = Field(64 * 1024, description="most that is read of a response's body")
    retry_after_s: Seconds = Field(3600.0, description="longest `Retry-After` that is respected")
    connections: Count = Field(
        500,
        description="most connections of one process; further requests wait, and their timeout begins with a "
        "connection",
    )
    connections_per_host: Count = Field(
        100, description="most connections of one process to one host and port"
    )

    @model_validator(mode="after")
    def _keys_are_different(self) -> "OutboundSettings":
        # Who creates a push chooses its body: with a key of callbacks it could be any event.
        if set(self.push_signing_keys) & set(self.callback_signing_keys):
            raise ValueError("expected push_signing_keys without any of callback_signing_keys")
        return self


class WebhookSettings(Group):
    """How events are delivered to webhooks and callbacks."""

    limit: Count = Field(1000, description="most webhooks")
    timeout_s: Seconds = Field(
        15.0, description="when a request to an endpoint has failed without a response"
    )
    concurrency: int = Field(
        100, ge=2, le=MOST, description="deliveries that one process tries at once"
    )
    concurrency_per_endpoint: Count = Field(
        8, description="of these, at once to one webhook, or to the callbacks of one origin"
    )
    retry_base_s: Seconds = Field(5.0, description="wait before the second try")
    retry_factor: float = Field(2.0, ge=1, le=100, description="growth of the wait")
    retry_max_s: Seconds = Field(7200.0, description="longest wait between tries")
    give_up_s: Seconds = Field(
        86_400.0,
        description="when a delivery is given up, counted from its event or from its last resend",
    )
    disable_s: Seconds = Field(
        259_200.0, description="when a webhook is disabled whose endpoint has accepted nothing"
    )
    keep_days: int = Field(
        7, ge=1, le=380, description="days to keep the log of deliveries that ended"
    )
