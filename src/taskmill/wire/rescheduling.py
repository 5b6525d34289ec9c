"""The format of a request to reschedule a waiting task."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.rescheduling import Rescheduling
from taskmill.wire import fields
from taskmill.wire.violations import validated


class RescheduleTask(BaseModel):
    """What to change of a task that waits; what is left out, or null, stays as it is."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"delay_s": 0},
                {"queue": "reports", "priority": 9, "run_at": "2030-01-31T09:00:00Z"},
            ]
        },
    )

    queue: fields.Slug | None = Field(
        default=None, description="where it waits from now on; made on first use"
    )
    priority: fields.Priority | None = Field(default=None, description="0 to 9, the most urgent")
    run_at: fields.RequestedTime | None = Field(
        default=None, description="not before this time; one of the past is now"
    )
    delay_s: fields.Delay | None = Field(
        default=None, description="not before so many seconds from now; 0 is at once"
    )


def to_rescheduling(body: object) -> Rescheduling:
    """Return what a parsed body asks for.

    Raises:
        InvalidInput: It does not fit, or asks for nothing.
    """
    request = validated(RescheduleTask, body)
    if request.run_at is not None and request.delay_s is not None:
        raise InvalidInput.at("/delay_s", "either run_at or delay_s", "both")
    wanted = Rescheduling(
        queue=request.queue,
        priority=request.priority,
        run_at=request.run_at,
        delay=None if request.delay_s is None else timedelta(seconds=request.delay_s),
    )
    if wanted == Rescheduling():
        raise InvalidInput.at("", "at least one of queue, priority, run_at and delay_s", "none")
    return wanted
