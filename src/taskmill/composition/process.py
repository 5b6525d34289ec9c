"""The services of each role of a process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.composition.creation import contract_refresher, rejection_operations, task_creation
from taskmill.composition.doctor import doctor_of
from taskmill.composition.keys import key_verifier, keys_to_resend
from taskmill.composition.outgoing import callback_keys, imported_outbound, webhook_operations
from taskmill.composition.pages import dashboard
from taskmill.composition.process_context import ProcessContext, calling
from taskmill.composition.process_report import each_minute
from taskmill.composition.tracing import open_traces
from taskmill.composition.workers import Drainer
from taskmill.domain.errors import ConfigurationError, Unavailable
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import IntakeState, Readiness
from taskmill.observability import logs
from taskmill.operations import sql_limits
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.figures import FiguresCache
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.operations.system import readiness
from taskmill.runtime.certificates import ServerCertificate, certificate_files
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.file_limit import raise_file_limit
from taskmill.runtime.forwarded import TrustedProxies
from taskmill.runtime.offload import shorten_switch_interval
from taskmill.runtime.periodic import Periodic, pause
from taskmill.runtime.services import Service
from taskmill.settings import Settings
from taskmill.storage import partitions
from taskmill.storage.database import RETRY_AFTER_S
from taskmill.storage.notifier import (
    API_KEYS,
    CHANGES,
    CONTRACTS,
    FEED,
    SESSIONS,
    NotificationListener,
)

if TYPE_CHECKING:
    from taskmill.admin.server import AdminServer
    from taskmill.amqp.connection import BrokerLink
    from taskmill.amqp.intake_probe import IntakeProbe
    from taskmill.api.app import Api
    from taskmill.api.server import ApiServer
    from taskmill.operations.pull import Pull

log = logs.get_logger(__name__)

# How long a stopping API has for responses under way.
API_GRACE_S = 10.0
_CLOCK_S = 60.0
_CERTIFICATE_S = 5.0
_WAIT_FOR_DATABASE_S = 30.0
# The roles whose metrics include the whole system: each runs once or a few times, unlike workers.
_REPORT_SYSTEM = frozenset({"api", "maintenance"})


class Process(ProcessContext):
    """One process: what its roles share, and the services of each."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.server: ApiServer | None = None
        self.admin_server: AdminServer | None = None
        self.broker_link: BrokerLink | None = None
        self.intake_probe: IntakeProbe | None = None
        self.figures = FiguresCache.of(self.database, longest_s=settings.limits.request_timeout_s)

    @classmethod
    async def start(
        cls, settings: Settings, stack: AsyncExitStack, stop: asyncio.Event
    ) -> "Process":
        """Wait for the database, check its schema, set the clock by it, create partitions and read the contracts.

        Raises:
            ConfigurationError: the database did not answer in time, or lacks the schema that this program needs;
                traces are on but can't be.
            Unavailable: the database did not answer before `stop`.
        """
        process = cls(settings)
        stack.push_async_callback(process.close)
        process.traces = open_traces(settings, process.clock, stack)
        await process._await_schema(stop)
        moment = await process.database.anchor(process.clock)
        try:
            await partitions.ensure(process.database, moment)
        except Unavailable as error:
            # Something holds a lock, as a backup does: until then tasks go into the DEFAULT partition.
            log.warning("partition.delayed", error=repr(error.__cause__))
        await process.contracts.refresh()
        return process

    async def _await_schema(self, stop: asyncio.Event) -> None:
        give_up_at = self.clock.monotonic() + _WAIT_FOR_DATABASE_S
        while True:
            state = await readiness(self.database)
            if state.is_ready:
                return
            if trouble := self.database.unsuitable:
                raise ConfigurationError(f"the database can't be used: {trouble}")
            if trouble := state.parts["schema"]:
                raise ConfigurationError(trouble)
            if stop.is_set():
                raise Unavailable(RETRY_AFTER_S, "the database")
            if self.clock.monotonic() > give_up_at:
                raise ConfigurationError(f"the database can't be reached: {state.cause}")
            log.warning("database.awaited", trouble=state.cause)
            await pause(stop, 1)

    def clock_setter(self) -> Service:
        """Return the service that keeps this process's clock in step with PostgreSQL's, even after a suspend."""

        async def anchor() -> None:
            await self.database.anchor(self.clock)

        return Periodic("clock", anchor, interval_s=_CLOCK_S)

    def notifiers(self) -> list[Service]:
        """Return the services that notify other processes and listen to them; call once all roles are set up."""

        def notify_work(payload: str) -> None:
            for on_notification in self.on_work:
                on_notification(payload)

        listener = NotificationListener(
            self.database,
            notify_work if self.on_work else None,
            also={
                CHANGES: lambda: None,
                FEED: self.idle_backoff.wake_all,
                CONTRACTS: calling(self.on_contracts),
                API_KEYS: calling(self.on_api_keys),
                SESSIONS: calling(self.on_sessions),
            },
            idle_backoff=self.idle_backoff,
        )
        return [self.notifier, self.change_notifier, self.feed_notifier, listener]

    def admin(
        self,
        roles: Sequence[str],
        stop: asyncio.Event,
        checks: Mapping[str, Callable[[], str | None]],
    ) -> list[Service]:
        """Return the service of the admin port, if one is set; it is not ready while the process stops.

        It is ready when none of the named `checks` reports trouble, either.
        """
        settings = self.settings
        if settings.admin_port is None:
            return []
        # Imported here: the web server takes 0.1 s, and most workers do not need it.
        from taskmill.admin.app import AdminApp  # noqa: PLC0415
        from taskmill.admin.server import AdminServer  # noqa: PLC0415
        from taskmill.runtime.http_access import AccessRules  # noqa: PLC0415

        async def check() -> Readiness:
            found = await readiness(self.database, self.broker_watch(), self.writability)
            more = {name: trouble() for name, trouble in checks.items()}
            return replace(found, parts={**found.parts, **more})

        app = AdminApp(
            check,
            is_stopping=stop.is_set,
            access=AccessRules.of(settings.api),
            figures=self.figures.get if _REPORT_SYSTEM & set(roles) else None,
        )
        self.admin_server = AdminServer(app, host=settings.admin_host, port=settings.admin_port)
        return [self.admin_server]

    def watch(self, roles: Sequence[str], *, is_front: bool = False) -> list[Service]:
        """Return a connection to the broker for what reports on it: the API, an admin port, a front of APIs."""
        settings = self.settings
        is_reported = "api" in roles or is_front or settings.admin_port is not None
        if not (settings.uses_broker and is_reported):
            return []
        # Imported here: the driver takes 0.1 s, and is not needed without a broker.
        from taskmill.amqp.connection import BrokerLink  # noqa: PLC0415
        from taskmill.amqp.intake_probe import IntakeProbe  # noqa: PLC0415

        self.broker_link = link = BrokerLink(settings.require_broker_url(), name="watch")
        self.intake_probe = IntakeProbe(link, is_broker_starting=self._is_broker_starting)
        return [self.broker_link]

    def _is_broker_starting(self) -> bool:
        link = self.broker_link
        if link is None or link.was_up:
            return False
        return self.is_broker_starting() or not link.has_tried

    async def _intake_state(self) -> IntakeState | None:
        if self.own_intake_state is not None:
            return self.own_intake_state()
        return None if self.intake_probe is None else await self.intake_probe.state()

    def broker_watch(self) -> BrokerWatch:
        """Return how this process sees the broker."""
        link, policy = self.broker_link, self.settings.broker
        if link is None:
            is_used = self.settings.uses_broker
            return replace(NO_BROKER, policy=policy, intake=None if is_used else NO_BROKER.intake)
        return BrokerWatch(
            policy=policy,
            trouble=lambda: link.trouble,
            is_starting=self._is_broker_starting,
            intake=self._intake_state,
            depths=None if self.intake_probe is None else self.intake_probe.queues,
        )

    async def api(self, stack: AsyncExitStack) -> list[Service]:
        """Return the services of the API role."""
        # Imported here: the web framework takes 0.3 s, and workers do not need it.
        from taskmill.api.app import create_app  # noqa: PLC0415
        from taskmill.operations.feed import Feed  # noqa: PLC0415

        raise_file_limit()
        shorten_switch_interval()
        settings = self.settings
        await sql_limits.store(self.database, settings)
        creation = await stack.enter_async_context(task_creation(self))
        service = TaskService(
            self.database,
            creation,
            await stack.enter_async_context(TaskReading(self.database)),
            rejection_operations(self, creation, keys_to_resend(self)),
            broker=self.broker_watch(),
            figures=self.figures,
            contracts=self.contracts,
        )
        drainer = Drainer(self)
        feed = Feed(
            self.database,
            settings.feed,
            retained_days=settings.retention.change_days,
            idle_backoff=self.idle_backoff,
        )
        pull, contracts = self._pull(), contract_refresher(self)
        keys, key_services = key_verifier(self, creation)
        pages, page_services = dashboard(self, service, feed, keys)
        app = create_app(
            service,
            feed=feed,
            pull=pull,
            webhooks=webhook_operations(self),
            settings=settings,
            drain=drainer.drain,
            traces=self.traces,
            pages=pages,
            keys=keys,
            clock=self.clock,
            doctor=doctor_of(self, service),
        )
        certificate = self._certificate()
        self.server = self._server(app, certificate)
        self.on_work.append(lambda _: pull.wake())
        recorder = each_minute("record-attention", service.attention.record)
        beside: list[Service] = [*service.services, recorder, *page_services, *key_services]
        services: list[Service] = [contracts, drainer, feed, pull, *beside]
        if certificate is not None:
            services.append(Periodic("certificate", certificate.refresh, interval_s=_CERTIFICATE_S))
        return [*services, self.server]

    def _certificate(self) -> ServerCertificate | None:
        files = certificate_files(self.settings.api)
        return None if files is None else ServerCertificate(files, self.clock.now)

    def _server(self, app: "Api", certificate: ServerCertificate | None) -> "ApiServer":
        from taskmill.api.server import ApiServer  # noqa: PLC0415 - as above

        settings = self.settings.api
        server = ApiServer(
            app,
            host=settings.host,
            port=settings.port,
            reuse_port=settings.reuse_port,
            grace_s=API_GRACE_S,
            stop_delay_s=settings.stop_delay_s,
            limits=ConnectionLimits(
                total=settings.connections,
                unfinished_per_address=settings.unfinished_per_address,
            ),
            certificate=certificate,
            proxies=TrustedProxies(trusted) if (trusted := settings.trusted_proxies) else None,
        )
        self.api_address = lambda: (settings.host, server.port)
        return server

    def _pull(self) -> "Pull":
        from taskmill.operations.pull import Pull  # noqa: PLC0415 - as above

        return Pull(
            self.database,
            self.settings.pull,
            policy=self.retry_policy,
            first_claims=self.first_claims,
            ids=self.ids,
            randomness=self.randomness,
            payload_bytes=self.settings.limits.body_bytes,
            task_log=self.settings.task_log,
        )

    def relay(self) -> list[Service]:
        """Return the services of the relay role."""
        # Imported here: the driver takes 0.1 s, and is not needed without a broker.
        from taskmill.amqp.events import EventExchange  # noqa: PLC0415
        from taskmill.amqp.upkeep import ExchangeUpkeep  # noqa: PLC0415
        from taskmill.relay.feed import FeedDelivery  # noqa: PLC0415
        from taskmill.relay.hinting import HintSender  # noqa: PLC0415

        url, feed = self.settings.require_broker_url(), self.settings.feed
        hints = HintSender(
            self.database, broker_url=url, clock=self.clock, idle_backoff=self.idle_backoff
        )
        self.on_work.append(hints.on_notification)
        services: list[Service] = [hints]
        if feed.publish:
            exchange = EventExchange(url, source=feed.source)
            services.append(ExchangeUpkeep(exchange.link, EVENTS_EXCHANGE))
            services.append(
                FeedDelivery(
                    self.database,
                    exchange,
                    holder=self.ids(),
                    clock=self.clock,
                    idle_backoff=self.idle_backoff,
                )
            )
        return services

    def webhooks(self) -> list[Service]:
        """Return the services of the webhooks role."""
        # Imported here: other roles do not need it.
        from taskmill.webhooks.delivery_loop import DeliveryLoop, DeliveryRules  # noqa: PLC0415
        from taskmill.webhooks.endpoint_slots import EndpointSlots  # noqa: PLC0415
        from taskmill.webhooks.fan_out import FanOut  # noqa: PLC0415
        from taskmill.webhooks.sending import DeliverySender  # noqa: PLC0415

        settings, outbound = self.settings.webhooks, self.settings.outbound
        sender = DeliverySender(
            self.database,
            lambda: imported_outbound(self),
            callback_keys=callback_keys(self),
            keyring=self.keyring,
            clock=self.clock,
            source=self.settings.feed.source,
            timeout_s=settings.timeout_s,
        )
        rules = DeliveryRules(
            policy=RetryPolicy(
                base=timedelta(seconds=settings.retry_base_s),
                factor=settings.retry_factor,
                maximum=timedelta(seconds=settings.retry_max_s),
            ),
            longest_wait=timedelta(seconds=outbound.retry_after_s),
            timeout_s=settings.timeout_s,
            disable_s=settings.disable_s,
            give_up_s=settings.give_up_s,
        )
        endpoints = EndpointSlots(
            settings.concurrency, per_endpoint=settings.concurrency_per_endpoint
        )
        delivering = DeliveryLoop(
            self.database,
            sender,
            endpoints,
            rules,
            clock=self.clock,
            randomness=self.randomness,
            idle_backoff=self.idle_backoff,
        )
        fan_out = FanOut(
            self.database,
            holder=self.ids(),
            clock=self.clock,
            give_up_s=settings.give_up_s,
            wake=delivering.wake,
            idle_backoff=self.idle_backoff,
        )
        return [delivering, fan_out]
