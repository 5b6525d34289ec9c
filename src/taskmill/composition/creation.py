"""Assembles what creates tasks, for the API and for the intake of messages."""

from datetime import timedelta

from taskmill.composition.keys import producer_keys
from taskmill.composition.process_context import ProcessContext
from taskmill.operations.contracts import REFRESH_S
from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.queues import KnownQueues
from taskmill.operations.rejections import Rejections
from taskmill.operations.waiting_quotas import WaitingQuotas
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.wire.messages import MessageLimits
from taskmill.wire.rules import InputLimits


def task_creation(context: ProcessContext) -> TaskCreation:
    """Return what stores tasks and notifies workers of them."""
    settings = context.settings
    return TaskCreation(
        context.database,
        clock=context.clock,
        ids=context.ids,
        queues=KnownQueues(
            context.database,
            limit=settings.limits.queues,
            clock=context.clock,
            quota=settings.quotas.queues,
        ),
        types=KnownTypes(
            context.database,
            limit=settings.limits.unserved_types,
            clock=context.clock,
            quota=settings.quotas.types,
        ),
        waiting=WaitingQuotas(
            context.database,
            clock=context.clock,
            most_tasks=settings.quotas.waiting_tasks,
            most_kib=settings.quotas.waiting_kib,
        ),
        notifier=context.notifier,
        writability=context.writability,
        key_validity=timedelta(days=settings.retention.idempotency_days),
    )


def rejection_operations(
    context: ProcessContext, creation: TaskCreation, producers: ProducerKeys | None
) -> Rejections:
    """Return what stores rejected messages, and resends them with the keys of their producers."""
    return Rejections(
        context.database,
        creation,
        ids=context.ids,
        limits=message_limits(context),
        producers=producers,
    )


def message_limits(context: ProcessContext) -> MessageLimits:
    """Return the limits of a creation message: the same as a request's."""
    limits = context.settings.limits
    return MessageLimits(
        body_bytes=limits.body_bytes,
        input=InputLimits(
            labels=limits.labels,
            hops=limits.hops,
            idempotency_key_chars=limits.idempotency_key_chars,
            contracts=context.contracts.by_type,
        ),
    )


def contract_refresher(context: ProcessContext) -> Periodic:
    """Return the service that keeps this process's contracts up to date; notifications wake it."""
    refresher = Periodic(
        "contracts",
        context.contracts.refresh,
        interval_s=REFRESH_S,
        longest_s=2 * REFRESH_S,
        pause_s=context.idle_backoff.notified_pause_s,
    )
    context.idle_backoff.on_wake(refresher.wake)
    context.on_contracts.append(refresher.wake)
    return refresher


def intake_services(context: ProcessContext, *, serves_api: bool) -> list[Service]:
    """Return the services of the intake role, of a process that may serve the API as well."""
    # Imported here: the driver takes 0.1 s, and is not needed without a broker.
    from taskmill.intake.amqp import Intake  # noqa: PLC0415

    creation = task_creation(context)
    producers, key_services = producer_keys(context, creation, serves_api=serves_api)
    intake = Intake(
        context.settings.require_broker_url(),
        creation=creation,
        rejections=rejection_operations(context, creation, producers),
        limits=message_limits(context),
        warning_of=Warnings(AddressRules.of(context.settings.outbound)),
        producers=producers,
        traces=context.traces,
    )
    context.own_intake_state = intake.state
    return [contract_refresher(context), *key_services, intake]
