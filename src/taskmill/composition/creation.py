"""What makes tasks, for the doors that do: the API, and the intake of messages."""

from datetime import timedelta

from taskmill.composition.parts import Parts
from taskmill.operations.create import TaskCreation
from taskmill.operations.queues import KnownQueues
from taskmill.operations.rejections import Rejections
from taskmill.runtime.services import Service
from taskmill.settings import Settings
from taskmill.storage.doorbell import Doorbell
from taskmill.wire.messages import MessageLimits
from taskmill.wire.rules import InputLimits


def task_creation(parts: Parts, doorbell: Doorbell) -> TaskCreation:
    """Return what stores tasks; the doorbell tells workers of them."""
    settings = parts.settings
    return TaskCreation(
        parts.database,
        clock=parts.clock,
        ids=parts.ids,
        queues=KnownQueues(parts.database, limit=settings.limits.queues),
        doorbell=doorbell,
        key_validity=timedelta(days=settings.retention.idempotency_days),
    )


def kept_rejections(parts: Parts, creation: TaskCreation) -> Rejections:
    """Return what keeps refused messages, and makes tasks of them after all."""
    limits = message_limits(parts.settings)
    return Rejections(parts.database, creation, ids=parts.ids, limits=limits)


def message_limits(settings: Settings) -> MessageLimits:
    """Return what a creation message may have: the same as a request."""
    limits = settings.limits
    return MessageLimits(
        body_bytes=limits.body_bytes,
        input=InputLimits(labels=limits.labels, idempotency_key_chars=limits.idempotency_key_chars),
    )


def intake_services(parts: Parts) -> list[Service]:
    """Return the services of the intake role."""
    # Here, because the driver takes 0.1 s to import, and who has no broker does without it.
    from taskmill.intake.amqp import Intake  # noqa: PLC0415

    doorbell = Doorbell(parts.database)
    creation = task_creation(parts, doorbell)
    intake = Intake(
        parts.settings.require_broker_url(),
        creation=creation,
        rejections=kept_rejections(parts, creation),
        limits=message_limits(parts.settings),
        traces=parts.traces,
    )
    return [doorbell, intake]
