"""Assembles the API's webhook operations, and the client for outgoing requests."""

import asyncio
import secrets
from importlib import import_module
from typing import TYPE_CHECKING

from taskmill.composition.own_services import own_services
from taskmill.composition.process_context import ProcessContext
from taskmill.operations.webhooks import Webhooks

if TYPE_CHECKING:
    from taskmill.outbound.client import Outbound
    from taskmill.outbound.signing import Signer


def open_outbound(context: ProcessContext) -> "Outbound":
    """Return this process's client, made on first use and closed with the process."""
    # Imported here: the client takes 0.1 s, and most roles do not need it.
    from taskmill.outbound.addresses import AddressRules  # noqa: PLC0415
    from taskmill.outbound.client import Outbound  # noqa: PLC0415

    if context.outbound is None:
        settings = context.settings.outbound
        context.outbound = Outbound(
            AddressRules.of(settings), settings, own_services=own_services(context)
        )
    return context.outbound


async def imported_outbound(context: ProcessContext) -> "Outbound":
    """Return this process's client, imported on a thread on first use."""
    if context.outbound is None:
        await asyncio.to_thread(import_module, "taskmill.outbound.client")
    return open_outbound(context)


def push_signer(context: ProcessContext) -> "Signer":
    """Return what signs pushes, with keys that sign nothing else."""
    from taskmill.outbound.signing import Signer  # noqa: PLC0415 - as above

    return Signer([key.get_secret_value() for key in context.settings.outbound.push_signing_keys])


def callback_keys(context: ProcessContext) -> list[str]:
    """Return the keys of the settings that sign callbacks."""
    return [key.get_secret_value() for key in context.settings.outbound.callback_signing_keys]


def webhook_operations(context: ProcessContext) -> Webhooks:
    """Return what stores webhooks and reports their deliveries."""
    settings = context.settings.webhooks
    return Webhooks(
        context.database,
        ids=context.ids,
        secret_bytes=secrets.token_bytes,
        keyring=context.keyring,
        limit=settings.limit,
        give_up_s=settings.give_up_s,
        quota=context.settings.quotas.webhooks,
    )
