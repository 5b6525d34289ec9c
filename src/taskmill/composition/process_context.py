"""What all roles of a process share."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import IntakeState
from taskmill.operations.contracts import Contracts
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.writability import Writability
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.ids import IdFactory
from taskmill.settings import Settings
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring
from taskmill.storage.notifier import CHANGES, CHANGES_PAUSE_S, FEED, Notifier

if TYPE_CHECKING:
    from taskmill.app.registry import Taskmill
    from taskmill.observability.traces import Traces
    from taskmill.outbound.client import Outbound


class ProcessContext:
    """Settings, clock, randomness, ids, database, contracts, notifiers, traces and app of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.traces: Traces | None = None
        self.app: Taskmill | None = None
        self.outbound: Outbound | None = None
        self.clock = SystemClock()
        self.randomness = random.Random()  # noqa: S311 - ids and jitter, no secrets
        self.ids = IdFactory(self.clock, self.randomness)
        self.database = Database(settings.require_database_url(), settings.database)
        own_url = settings.maintenance.database_url
        # Connections of its own only if maintenance has a login of its own.
        self.maintenance_database = (
            Database(own_url.get_secret_value(), settings.database) if own_url else self.database
        )
        self.writability = Writability(self.database, self.ids)
        # Where the API of this installation is, as far as this process knows; port 0 if it does not.
        self.api_address: Callable[[], tuple[str, int]] = lambda: (
            settings.api.host,
            settings.api.port,
        )
        self.contracts = Contracts(self.database)
        self.first_claims = FirstClaims(self.contracts, self.clock)
        self.idle_backoff = IdleBackoff(self.clock)
        self.notifier = Notifier(self.database)
        self.change_notifier = Notifier(self.database, channel=CHANGES, pause_s=CHANGES_PAUSE_S)
        self.feed_notifier = Notifier(self.database, channel=FEED, pause_s=CHANGES_PAUSE_S)
        for database in self.databases:
            database.on_commit(self._notify_change)
        # Tasks whose results could not be written before the process ended.
        self.unwritten: list[UUID] = []
        # The state of this process's intake, if it has one; and whether the embedded broker is still starting.
        self.own_intake_state: Callable[[], IntakeState] | None = None
        self.is_broker_starting: Callable[[], bool] = lambda: False
        # Called when tasks have been created, and when contracts have changed.
        self.on_work: list[Callable[[str], None]] = []
        self.on_contracts: list[Callable[[], None]] = []
        # Called when API keys have been revoked or rotated.
        self.on_api_keys: list[Callable[[], None]] = []
        self.on_sessions: list[Callable[[], None]] = []

    @property
    def databases(self) -> set[Database]:
        """The pools of this process: one for all, or two."""
        return {self.database, self.maintenance_database}

    @property
    def retry_policy(self) -> RetryPolicy:
        """The policy of tasks that have none of their own."""
        retry = self.settings.retry
        return RetryPolicy(
            base=timedelta(seconds=retry.base_s),
            factor=retry.factor,
            maximum=timedelta(seconds=retry.max_s),
            jitter=retry.jitter,
        )

    @cached_property
    def keyring(self) -> Keyring:
        """The keys of stored secrets. Raises `ConfigurationError` if their file can't be used."""
        return Keyring.read(self.settings.secrets_key_file)

    def notify_feed(self) -> None:
        """Notify followers of the feed that there is more to read."""
        self.idle_backoff.mark_activity()
        self.feed_notifier.notify()

    def _notify_change(self) -> None:
        """Notify other processes that this one has changed something."""
        self.idle_backoff.mark_activity()
        self.change_notifier.notify()

    async def close(self) -> None:
        """Close all connections."""
        if self.outbound is not None:
            await self.outbound.close()
        for database in self.databases:
            await database.close()


def calling(functions: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """Return a function that calls all of these, also those that are added later."""

    def call() -> None:
        for function in functions:
            function()

    return call
