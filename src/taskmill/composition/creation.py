"""What makes tasks, for the doors that do: the API, and the intake of messages."""

from datetime import timedelta

from taskmill.composition.process_context import ProcessContext
from taskmill.operations.contracts import REFRESH_S
from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.operations.rejections import Rejections
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.wire.messages import MessageLimits
from taskmill.wire.rules import InputLimits


def task_creation(parts: ProcessContext) -> TaskCreation:
    """Return what stores tasks; the notifier tells workers of them."""
    settings = parts.settings
    return TaskCreation(
        parts.database,
        clock=parts.clock,
        ids=parts.ids,
        queues=KnownQueues(parts.database, limit=settings.limits.queues, clock=parts.clock),
        types=KnownTypes(parts.database, limit=settings.limits.unserved_types, clock=parts.clock),
        notifier=parts.notifier,
        writability=parts.writability,
        key_validity=timedelta(days=settings.retention.idempotency_days),
    )


def kept_rejections(parts: ProcessContext, creation: TaskCreation) -> Rejections:
    """Return what keeps refused messages, and makes tasks of them after all."""
    limits = message_limits(parts)
    return Rejections(parts.database, creation, ids=parts.ids, limits=limits)


def message_limits(parts: ProcessContext) -> MessageLimits:
    """Return what a creation message may have: the same as a request."""
    limits = parts.settings.limits
    return MessageLimits(
        body_bytes=limits.body_bytes,
        input=InputLimits(
            labels=limits.labels,
            idempotency_key_chars=limits.idempotency_key_chars,
            contracts=parts.contracts.by_type,
        ),
    )


def contract_refresher(parts: ProcessContext) -> Periodic:
    """Return the service that has this process's doors know the contracts that hold: it hears of changes."""
    refresher = Periodic(
        "contracts",
        parts.contracts.refresh,
        interval_s=REFRESH_S,
        longest_s=2 * REFRESH_S,
        rest_s=parts.idle_backoff.notified_pause_s,
    )
    parts.idle_backoff.on_wake(refresher.wake)
    parts.heard_contracts.append(refresher.wake)
    return refresher


def intake_services(parts: ProcessContext) -> list[Service]:
    """Return the services of the intake role."""
    # Here, because the driver takes 0.1 s to import, and who has no broker does without it.
    from taskmill.intake.amqp import Intake  # noqa: PLC0415

    creation = task_creation(parts)
    intake = Intake(
        parts.settings.require_broker_url(),
        creation=creation,
        rejections=kept_rejections(parts, creation),
        limits=message_limits(parts),
        warning_of=Warnings(AddressRules(parts.settings.outbound.allow)),
        traces=parts.traces,
    )
    parts.own_intake = intake.state
    return [contract_refresher(parts), intake]
