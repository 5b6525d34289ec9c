"""What is wrong with what was filled in, each at the form's element that it is about."""

from dataclasses import dataclass

from taskmill.dashboard.pages.create_form import JSON, CreateForm
from taskmill.domain.errors import (
    IdempotencyConflict,
    InvalidInput,
    QueueLimitReached,
    TaskmillError,
    TooLarge,
    UnservedTypeLimitReached,
    Violation,
)
from taskmill.domain.quotas import Quota, QuotaExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A violation, and the form's element that it is about; `field` is empty for the whole form."""

    field: str
    violation: Violation


def violations_of(error: TaskmillError) -> tuple[Violation, ...]:
    """Return what is wrong, as violations with pointers."""
    return error.violations if isinstance(error, InvalidInput) else (_violation(error),)


def _violation(error: TaskmillError) -> Violation:
    match error:
        case TooLarge():
            expected = f"{error.limit_bytes} bytes at most"
            return Violation(pointer="", expected=expected, got="a larger one")
        case IdempotencyConflict():
            got = f"one that {error.what}"
            return Violation(pointer="/idempotency_key", expected="a new key", got=got)
        case QueueLimitReached():
            expected = f"one of the {error.limit} queues that there are"
            return Violation(pointer="/queue", expected=expected, got="a new one")
        case QuotaExceeded(quota=Quota.QUEUES):
            got = f"a new one: {error}"
            return Violation(pointer="/queue", expected="a queue that there is", got=got)
        case UnservedTypeLimitReached():
            expected = "a type that has a worker or a contract, or one whose tasks wait already"
            return Violation(pointer="/type", expected=expected, got="another one")
        case _:
            return Violation(pointer="", expected="a task that can be created", got=str(error))


def fault_of(form: CreateForm, violation: Violation) -> Fault:
    """Find the form's element that a pointer is about."""
    head, *tail = [part for part in violation.pointer.split("/") if part] or [""]
    if head == "payload" and form.mode != JSON:
        names = [one.name for one in form.fields]
        if tail and tail[0] in names:
            return Fault(field=f"payload-{names.index(tail[0])}", violation=violation)
    if head == "retry":
        head = f"retry_{tail[0]}" if tail else "retry_base_s"
    return Fault(field=head, violation=violation)
