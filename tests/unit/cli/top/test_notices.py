"""What needs attention."""

from typing import Any

import pytest

from taskmill.cli.top.notices import notices
from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import board
from tests.support.pictures import a_queue, a_snapshot, a_worker_view, an_activity, before


def found(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(str(one.level), one.text) for one in notices(snapshot, board(snapshot, Rates()))]


def test_nothing_is_reported_while_all_is_fine() -> None:
    idle = a_worker_view("idle", 2, state="closed", closed_at=before(minutes=1))
    queues = [
        a_queue(waiting=9, oldest_s=1),
        a_queue("later", waiting=9),
        a_queue("p", paused=True),
    ]

    assert found(a_snapshot(queues, [a_worker_view(), idle])) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"broker": {"state": "away", "trouble": "refused", "policy": "auto"}},
            ("trouble", "the broker is away, PostgreSQL stands in: refused"),
        ),
        (
            {"broker": {"state": "away", "trouble": None, "policy": "rabbitmq"}},
            ("trouble", "the broker is away, workers wait"),
        ),
        (
            {"queues": [a_queue(waiting=1)], "workers": []},
            ("trouble", "no live worker, and 1 task waits"),
        ),
        (
            {
                "queues": [a_queue(waiting=5, oldest_s=1)],
                "workers": [a_worker_view(queues=["other"])],
            },
            ("trouble", "no worker serves mail (5)"),
        ),
        (
            {"workers": [a_worker_view(), a_worker_view("b", 2, state="expired")]},
            ("trouble", "silent: b for 3 s"),
        ),
        (
            {"queues": [a_queue(waiting=5000, paused=True, oldest_s=1)]},
            ("warning", "paused with tasks waiting: mail (5,000)"),
        ),
        ({"queues": [a_queue(waiting=1, oldest_s=60)]}, ("warning", "waiting long: mail 1m")),
        (
            {"queues": [a_queue(waiting=1, oldest_s=1)], "slots": 100, "running": 90},
            ("warning", "90 of 100 slots are taken while tasks wait"),
        ),
        (
            {"activity": an_activity(succeeded=40, failed=9, expired=1)},
            ("warning", "20% of what ended in the last 15m failed"),
        ),
        (
            {"workers": [a_worker_view(request="quiet"), a_worker_view("b", 2, request="stop")]},
            ("warning", "take no more tasks: b (stopping), host-1 (quiet)"),
        ),
    ],
)
def test_each_trouble_is_one_sentence(parts: dict[str, Any], expected: tuple[str, str]) -> None:
    assert found(a_snapshot(**{"workers": [a_worker_view()], **parts})) == [expected]


def test_trouble_comes_before_warnings() -> None:
    queues = [a_queue("a", waiting=1, paused=True, oldest_s=9), a_queue("b", waiting=1, oldest_s=9)]

    levels = [level for level, _ in found(a_snapshot(queues, [a_worker_view(queues=["c"])]))]

    assert levels == ["trouble", "warning"]
