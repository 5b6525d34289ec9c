"""Writes docs/reference/events.md: what can happen to a task, and how each place tells of it.

`python scripts/events_page.py` writes the page anew; `tests/architecture/test_contract_pages.py` fails while they
differ.
"""
# ruff: noqa: INP001 - a program of its own

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "events.md"

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from pydantic import BaseModel  # noqa: E402 - see above

from scripts.http_pages import link_to_bodies  # noqa: E402
from scripts.schemas import fields, row  # noqa: E402
from taskmill.amqp.names import EVENTS_EXCHANGE, event_key  # noqa: E402
from taskmill.domain.history import NOTHING, STEPS  # noqa: E402
from taskmill.domain.lifecycle import TERMINAL, EventType, Reason, Status  # noqa: E402
from taskmill.wire.feed import CHANGE, CLOUD_EVENT, ChangeView, CloudEventView  # noqa: E402
from taskmill.wire.system import EventView  # noqa: E402
from taskmill.wire.webhooks import TEST_EVENT  # noqa: E402

INTRODUCTION = """\
# Events

<!-- Made by scripts/events_page.py of what the program declares. -->

Whatever happens to a task is one entry of its history, and the same entry is told everywhere:
"""
ENDS: Final = ", ".join(f"`{status}`" for status in Status if status in TERMINAL)
PLACES: Final = [
    [
        "`GET /tasks/{id}/events`",
        "the history of one task: [its entries](#an-entry), oldest first",
        "[HTTP](http.md)",
    ],
    [
        "`GET /events`",
        f"server-sent events of kind `{CHANGE}`: `data` is [a change](#a-change), `id` its cursor",
        "[follow changes](../how-to/follow-changes.md)",
    ],
    [
        f"exchange `{EVENTS_EXCHANGE}`",
        f"[CloudEvents](#a-cloudevent) (`{CLOUD_EVENT}`), with the key `{event_key('<status>', '<queue>')}`",
        "[follow changes](../how-to/follow-changes.md#a-consumer-of-rabbitmq)",
    ],
    [
        "webhooks",
        f"the same CloudEvents, of the statuses that the webhook names; and `{TEST_EVENT}` when it is tried",
        "[webhooks](../how-to/webhooks.md)",
    ],
    [
        "callbacks",
        f"the same CloudEvents, of changes into {ENDS}",
        "[webhooks](../how-to/webhooks.md#one-task)",
    ],
]
AFTER_PLACES = """
From the exchange, and to webhooks and callbacks, events may come twice, with the same `id`; elsewhere each comes
once. The log has lines of the same names, `task.created` and so on ([log events](../operations/log-events.md)).
"""
MEANINGS: Final = {
    EventType.CREATED: "it was stored, and waits",
    EventType.CLAIMED: "a worker took it: an attempt begins",
    EventType.SUCCEEDED: "the attempt ended well",
    EventType.FAILED: "the attempt failed and there is no other, or no loss was left; see `reason`, `error`",
    EventType.RETRY_SCHEDULED: "the attempt failed; the next one is due at `run_at`",
    EventType.HANDED_BACK: "the worker gave the attempt back unfinished; see `reason`",
    EventType.LOST: "the worker's lease ended while it ran",
    EventType.EXPIRED: "it still waited at its `expires_at`",
    EventType.CANCEL_REQUESTED: "it runs, and its worker is to stop it",
    EventType.CANCELLED: "it was cancelled while it waited, or its attempt ended after that was asked",
    EventType.RUN_AGAIN: "somebody asked for a new run; attempts and losses begin at 0",
}
REASONS: Final = {
    Reason.ERROR: "the handler raised an error",
    Reason.TIMEOUT: "the attempt ran longer than `timeout_s`",
    Reason.PERMANENT: "the handler said that no further attempt can help",
    Reason.PAYLOAD_REFUSED: "it came by SQL, and at its first claim its payload did not fit",
    Reason.RETRY_ASKED: "the handler asked for another attempt",
    Reason.WORKER_LOST: "the worker's lease ended",
    Reason.WORKER_STOPPED: "the worker stops",
    Reason.LEASE_UNSURE: "the worker could not be sure of its lease, and the type is exclusive",
    Reason.NO_HANDLER: "the worker has no handler for the type; due again in 30 s",
    Reason.CONTRACT_UNREAD: "it came by SQL, and its contract could not be read; due in a second",
    Reason.CANCELLED: "a cancel was asked",
    Reason.EXPIRED: "its `expires_at` came",
    Reason.OPERATOR: "by a retry by hand",
}


def page() -> str:
    """Return the whole page."""
    places = [row(["where", "what comes", "how to"]), row(["---"] * 3), *map(row, PLACES)]
    lines = [INTRODUCTION, *places, AFTER_PLACES, *_happenings(), *_keys(), *_reasons(), *_models()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _happenings() -> Iterator[str]:
    yield from ("## What happens", "")
    yield from (
        "`event` of an entry, the task's status before and after it, and what it adds to `attempt` and `losses`.",
        "Which reasons it may have, and what a cancel changes: [state machine](../state_machine.md).",
        "",
    )
    yield from (row(["event", "from", "to", "attempt", "losses", "what"]), row(["---"] * 6))
    for event_type in EventType:
        step = STEPS[event_type]
        begins = ", ".join(f"`{status}`" for status in Status if status in step.sources - {NOTHING})
        [attempt, losses] = step.costs[0]
        cells = [f"`{event_type}`", begins, f"`{step.target}`", _signed(attempt), _signed(losses)]
        yield row([*cells, MEANINGS[event_type]])
    yield ""


def _signed(number: int) -> str:
    return f"{number:+}" if number else ""


def _keys() -> Iterator[str]:
    yield from ("## Types and keys", "")
    yield from (row(["event", "CloudEvent `type`", "routing key"]), row(["---"] * 3))
    types = CloudEventView.model_json_schema()["properties"]["type"]["enum"]
    for event_type, kind in zip(EventType, types, strict=True):
        key = event_key(STEPS[event_type].target, "<queue>")
        yield row([f"`{event_type}`", f"`{kind}`", f"`{key}`"])
    yield from (
        "",
        "A queue's name may have dots: bind `task.failed.#`, never `task.failed.*`.",
        "",
    )


def _reasons() -> Iterator[str]:
    yield from ("## Reasons", "", "`reason` of an entry, null where the event says it all.", "")
    yield from (row(["reason", "what"]), row(["---"] * 2))
    for reason in Reason:
        yield row([f"`{reason}`", REASONS[reason]])
    yield ""


def _models() -> Iterator[str]:
    added = set(ChangeView.model_fields) - set(EventView.model_fields)
    yield from ("## An entry", "", *_fields(EventView, set(EventView.model_fields)), "")
    yield from (
        "## A change",
        "",
        "An entry, and beside that:",
        "",
        *_fields(ChangeView, added),
        "",
    )
    yield from ("## A CloudEvent", "", "Version 1.0, in structured JSON.", "")
    yield from (*_fields(CloudEventView, set(CloudEventView.model_fields)), "")


def _fields(model: type[BaseModel], names: set[str]) -> Iterator[str]:
    schema = model.model_json_schema(mode="serialization")
    chosen = {name: field for name, field in schema["properties"].items() if name in names}
    yield from fields({**schema, "properties": chosen}, link_to_bodies)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
