"""Assembles what verifies API keys and sessions, where the settings require them."""

from typing import Final

from taskmill.composition.process_context import ProcessContext
from taskmill.observability.logs import get_logger
from taskmill.operations.create import TaskCreation
from taskmill.operations.earlier_keys import REFRESH_S, EarlierKeys
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.sessions import Sessions
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.settings.auth import is_open_to_all, knows_by_settings, requires_keys

log = get_logger(__name__)

_USE_S: Final = 60.0


def key_verifier(
    context: ProcessContext, creation: TaskCreation
) -> tuple[KeyVerifier | None, list[Service]]:
    """Return what verifies keys, and the services for them; nothing where none are required.

    Idempotency keys from before they were required are found by `creation`, then.
    """
    settings = context.settings
    if is_open_to_all(settings):
        log.warning("api.opened_to_all", host=settings.api.host, advice="leave TASKMILL_AUTH unset")
    if not requires_keys(settings):
        return None, []
    keys = KeyVerifier(context.database, context.clock)
    return keys, _key_services(context, keys, "api-key-use", creation)


def producer_keys(
    context: ProcessContext, creation: TaskCreation, *, serves_api: bool
) -> tuple[ProducerKeys | None, list[Service]]:
    """Return what finds the keys of producers of messages, and the services for them, as above.

    A process that does not serve the API, and whose settings don't say where it listens, requires keys as soon as
    there is one.
    """
    settings = context.settings
    is_unknown = not (serves_api or knows_by_settings(settings))
    if not (requires_keys(settings) or is_unknown):
        return None, []
    keys = ProducerKeys(context.database, context.clock, only_if_any=is_unknown)
    return keys, _key_services(context, keys, "producer-key-use", creation)


def keys_to_resend(context: ProcessContext) -> ProducerKeys | None:
    """Return what finds the keys of producers whose messages are sent again; nothing where none are required."""
    if not requires_keys(context.settings):
        return None
    keys = ProducerKeys(context.database, context.clock)
    context.on_api_keys.append(keys.forget)
    return keys


def _key_services(
    context: ProcessContext,
    keys: KeyVerifier | ProducerKeys,
    recorder_name: str,
    creation: TaskCreation,
) -> list[Service]:
    """Have keys forgotten when some were changed; return what records their use, and looks for earlier keys."""
    recorder = Periodic(recorder_name, keys.record_use, interval_s=_USE_S, on_demand=True)
    keys.on_use = recorder.wake
    context.on_api_keys.append(keys.forget)
    creation.earlier_keys = earlier = EarlierKeys(context.database)
    return [recorder, Periodic("earlier-keys", earlier.refresh, interval_s=REFRESH_S)]


def sessions(
    context: ProcessContext, keys: KeyVerifier | None
) -> tuple[Sessions | None, list[Service]]:
    """Return what verifies sessions, and what records their use; nothing where no keys are required."""
    if keys is None:
        return None, []
    made = Sessions(context.database, keys, context.clock)
    recorder = Periodic("session-use", made.record_use, interval_s=_USE_S, on_demand=True)
    made.on_use = recorder.wake
    context.on_api_keys.append(made.forget)
    context.on_sessions.append(made.forget)
    return made, [recorder]
