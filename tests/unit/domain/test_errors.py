"""The tree of errors, and the message of each."""

import inspect
import re
from collections.abc import Callable
from uuid import UUID

import pytest

from taskmill.domain import errors
from taskmill.domain.errors import (
    BadCursor,
    BrokerAway,
    CancelNotRequested,
    ChangesForgotten,
    ConfigurationError,
    ContractRefused,
    DeliveryNotFound,
    FailureKindNotFound,
    IdempotencyConflict,
    InvalidInput,
    KeyInFlight,
    LeaseClosed,
    LeaseNotFound,
    MalformedJson,
    NoticeNotFound,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    RejectionNotFound,
    SecretUnreadable,
    StaleFence,
    TaskmillError,
    TaskNotFound,
    TooLarge,
    TransitionRefused,
    TypeLimitReached,
    TypeNotFound,
    Unavailable,
    Unroutable,
    UnservedTypeLimitReached,
    VersionMismatch,
    Violation,
    WebhookInactive,
    WebhookLimitReached,
    WebhookNotFound,
    WorkerGone,
    WorkerNotFound,
)
from taskmill.domain.lifecycle import Status

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NO_NAME = Violation(pointer="/name", expected="a string", got="null")
TREE_LINE = re.compile(r"^    (?P<indent>[ │]*)[├└]── (?P<name>\w+)", re.MULTILINE)


def errors_in_order() -> list[type[TaskmillError]]:
    """All errors but the base, in the order of the tree in the docstring."""
    names = [match["name"] for match in TREE_LINE.finditer(errors.__doc__ or "")]
    return [getattr(errors, name) for name in names]


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    real = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, TaskmillError) and member is not TaskmillError
    }
    in_tree = errors_in_order()
    assert (set(in_tree), len(in_tree)) == (real, len(real))


# They are made in the test: what made them wrong at import would go unnoticed.
ERRORS: list[tuple[Callable[[], TaskmillError], str, dict[str, object]]] = [
    (
        lambda: InvalidInput.at("/name", "a string", "null"),
        "/name: expected a string, got null",
        {"violations": (NO_NAME,)},
    ),
    (
        lambda: BadCursor("one with other filters"),
        "query:cursor: expected a cursor from an earlier page of the same listing, got one with other filters",
        {
            "violations": (
                Violation(
                    pointer="query:cursor",
                    expected="a cursor from an earlier page of the same listing",
                    got="one with other filters",
                ),
            )
        },
    ),
    (
        lambda: ContractRefused("mail", (NO_NAME,)),
        "the contract of type 'mail': /name: expected a string, got null",
        {"violations": (NO_NAME,), "type": "mail"},
    ),
    (
        lambda: ChangesForgotten("7.1", 30),
        (
            "changes after 7.1 are no longer all there (they are kept for 30 days): read the tasks as they are "
            "now, then follow the feed without a cursor, or with after=0 from the oldest change that is kept"
        ),
        {"after": "7.1", "retained_days": 30},
    ),
    (lambda: MalformedJson("not JSON"), "not JSON", {"message": "not JSON"}),
    (lambda: TooLarge(1024), "the body is larger than 1024 bytes", {"limit_bytes": 1024}),
    (lambda: TaskNotFound(ID), f"there is no task {ID}", {"task_id": ID}),
    (lambda: QueueNotFound("mail"), "there is no queue 'mail'", {"name": "mail"}),
    (
        lambda: QueueNotEmpty("mail", waiting=2, running=1),
        "queue 'mail' is not empty: 2 of its tasks wait, and 1 run; cancel them or let them end first",
        {"name": "mail", "waiting": 2, "running": 1},
    ),
    (lambda: TypeNotFound("mail"), "no type 'mail' has a contract", {"name": "mail"}),
    (
        lambda: TypeLimitReached(1000),
        "1000 types have contracts already, and no more may have one",
        {"limit": 1000},
    ),
    (
        lambda: UnservedTypeLimitReached(500),
        (
            "tasks of 500 types without a contract and without a live worker wait already, and no more "
            "such types may: start a worker for the type, or register a contract"
        ),
        {"limit": 500},
    ),
    (lambda: RejectionNotFound(ID), f"there is no rejection {ID}", {"rejection_id": ID}),
    (lambda: FailureKindNotFound("k1"), "there is no kind of failures k1", {}),
    (
        lambda: NoticeNotFound(ID),
        f"there is no notice {ID}; it may have ended",
        {"notice_id": ID},
    ),
    (lambda: WorkerNotFound(ID), f"there is no worker {ID}", {"lease_id": ID}),
    (lambda: WorkerGone(ID), f"worker {ID} has ended", {"lease_id": ID}),
    (
        lambda: TransitionRefused(ID, Status.SUCCEEDED, "cancel"),
        f"can't cancel task {ID}: it is succeeded",
        {"task_id": ID, "status": Status.SUCCEEDED, "action": "cancel"},
    ),
    (
        lambda: VersionMismatch(ID, 4, "retry"),
        f"can't retry task {ID}: it has version 4 now, not the one that was named",
        {"task_id": ID, "version": 4, "action": "retry"},
    ),
    (
        lambda: StaleFence(ID, 2),
        (
            f"claim 2 of task {ID} does not hold under this lease: the task is somebody else's, or nobody's; "
            "stop what you do for it"
        ),
        {"task_id": ID},
    ),
    (lambda: CancelNotRequested(ID), f"no cancel of task {ID} was requested", {"task_id": ID}),
    (lambda: LeaseNotFound(ID), f"there is no lease {ID}", {"lease_id": ID}),
    (
        lambda: LeaseClosed(ID, "expired"),
        f"lease {ID} has ended (expired): its tasks are somebody else's, or done",
        {"lease_id": ID, "reason": "expired"},
    ),
    (
        lambda: IdempotencyConflict("k"),
        "the idempotency key 'k' was used for a request with another body",
        {"key": "k", "what": "was used for a request with another body"},
    ),
    (
        lambda: KeyInFlight("k"),
        "a request with the idempotency key 'k' is still in progress",
        {"key": "k"},
    ),
    (
        lambda: QueueLimitReached(1000),
        "there are 1000 queues already, and no more may be made",
        {"limit": 1000},
    ),
    (lambda: WebhookNotFound(ID), f"there is no webhook {ID}", {"webhook_id": ID}),
    (lambda: DeliveryNotFound(5), "the webhook has no delivery 5", {"delivery_id": 5}),
    (
        lambda: WebhookLimitReached(100),
        "there are 100 webhooks already, and no more may be made",
        {"limit": 100},
    ),
    (
        lambda: WebhookInactive(ID, "paused"),
        f"nothing is sent to webhook {ID}: it is paused; enable it first",
        {"webhook_id": ID, "state": "paused"},
    ),
    (
        lambda: SecretUnreadable("webhook 7", "its key is missing"),
        "the secret of webhook 7 can't be decrypted: its key is missing",
        {"owner": "webhook 7", "why": "its key is missing"},
    ),
    (
        lambda: Unavailable(1.5, "the database"),
        "the database is not available; try again in 1.5 s",
        {"retry_after_s": 1.5, "what": "the database"},
    ),
    (lambda: BrokerAway("refused"), "RabbitMQ is away: refused", {"trouble": "refused"}),
    (
        lambda: Unroutable("taskmill", "tasks.create"),
        "no queue takes messages of exchange 'taskmill' with key 'tasks.create'",
        {"exchange": "taskmill", "routing_key": "tasks.create"},
    ),
    (
        lambda: ConfigurationError("TASKMILL_X is unknown"),
        "TASKMILL_X is unknown",
        {"message": "TASKMILL_X is unknown"},
    ),
]


@pytest.mark.parametrize(("make", "words", "fields"), ERRORS)
def test_an_error_has_words_for_people_and_fields_for_programs(
    make: Callable[[], TaskmillError], words: str, fields: dict[str, object]
) -> None:
    error = make()
    assert str(error) == words
    assert vars(error) == fields


def test_every_error_is_among_them() -> None:
    assert [type(make()) for make, _, _ in ERRORS] == errors_in_order()


def test_what_is_not_known_is_left_out_or_replaced() -> None:
    assert "there: read the tasks" in str(ChangesForgotten("7.1"))
    deleted = IdempotencyConflict("k", "stands for a task that was deleted")
    assert str(deleted) == "the idempotency key 'k' stands for a task that was deleted"
    assert str(InvalidInput.at("", "an object", "null")).startswith("the body: expected an object")
    assert (
        str(Unavailable(1.5, "the intake", "start it")) == "the intake is not available; start it"
    )
    [violation] = BadCursor(pointer="query:after", expected="a number").violations
    assert violation == Violation(pointer="query:after", expected="a number", got="something else")


def test_invalid_input_names_every_violation() -> None:
    violations = (
        Violation(pointer="/name", expected="a string", got="null"),
        Violation(pointer="query:limit", expected="1 to 500", got="0"),
    )
    error = InvalidInput(violations)
    assert error.violations == violations
    assert str(error) == "/name: expected a string, got null; query:limit: expected 1 to 500, got 0"


def test_a_violation_of_a_part_is_one_of_the_whole_body() -> None:
    below = Violation(pointer="/name", expected="a string", got="null").below("/3/payload")
    assert below == Violation(pointer="/3/payload/name", expected="a string", got="null")
