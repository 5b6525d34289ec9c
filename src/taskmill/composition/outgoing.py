"""Webhooks as the API has them, and what a process sends requests by, for the roles that do."""

import secrets
from typing import TYPE_CHECKING

from taskmill.composition.process_context import ProcessContext
from taskmill.operations.webhooks import Webhooks

if TYPE_CHECKING:
    from taskmill.outbound.client import Outbound
    from taskmill.outbound.signing import Signer


def open_outbound(parts: ProcessContext) -> "Outbound":
    """Return what this process sends by; it is made at first, and closed with the process."""
    # Here, because the client takes 0.1 s to import, and most roles do without it.
    from taskmill.outbound.addresses import AddressRules  # noqa: PLC0415
    from taskmill.outbound.client import Outbound, OutboundLimits  # noqa: PLC0415

    if parts.outbound is None:
        settings = parts.settings.outbound
        limits = OutboundLimits(
            connections=settings.connections,
            connections_per_host=settings.connections_per_host,
            answer_bytes=settings.answer_bytes,
        )
        parts.outbound = Outbound(AddressRules(settings.allow), limits)
    return parts.outbound


def signer(parts: ProcessContext) -> "Signer":
    """Return what signs with the keys of the settings."""
    from taskmill.outbound.signing import Signer  # noqa: PLC0415 - as above

    return Signer(signing_keys(parts))


def signing_keys(parts: ProcessContext) -> list[str]:
    """Return the keys of the settings."""
    return [secret.get_secret_value() for secret in parts.settings.outbound.signing_keys]


def kept_webhooks(parts: ProcessContext) -> Webhooks:
    """Return what keeps webhooks, and tells of their deliveries."""
    settings = parts.settings.webhooks
    return Webhooks(
        parts.database,
        ids=parts.ids,
        secret_bytes=secrets.token_bytes,
        limit=settings.limit,
        give_up_s=settings.give_up_s,
    )
