"""The commands for queues, workers and stats."""

from collections.abc import Callable
from uuid import UUID

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_queues_are_listed_with_their_state_and_counts(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.add(queue="mail")
    service.end(service.add(queue="mail"))
    service.paused.add("mail")

    _, out, _ = taskmill("queue", "list")

    assert out.splitlines()[1].split() == [
        *("mail", "paused", "0", "0", "0", "1", "0", "1", "0", "0", "-"),
    ]


def test_queues_are_deleted_and_those_that_are_not_empty_are_named(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.add(queue="mail")
    assert taskmill("queue", "delete", "a", "b")[:2] == (0, "")
    status, out, err = taskmill("queue", "delete", "a", "mail", "b")
    assert (status, out) == (1, "")
    assert err.startswith("Error: mail: ")


def test_a_queue_is_paused_and_resumed(taskmill: Taskmill, service: FakeService) -> None:
    assert taskmill("queue", "pause", "mail")[:2] == (0, "mail  paused\n")
    assert service.paused == {"mail"}
    assert taskmill("queue", "resume", "mail")[:2] == (0, "mail  open\n")
    assert service.paused == set()


def test_a_queue_gets_a_time_for_its_ended_tasks(taskmill: Taskmill, service: FakeService) -> None:
    kept = taskmill("queue", "keep", "mail", "36h")
    assert kept[:2] == (0, "mail  keeps ended tasks for P1DT12H\n")
    assert service.keeps == {"mail": "P1DT12H"}
    kept = taskmill("queue", "keep", "mail", "--default")
    assert kept[:2] == (0, "mail  keeps ended tasks as long as the settings say\n")
    assert service.keeps == {"mail": None}
    for wrong in ([], ["3d", "--default"]):
        status, _, err = taskmill("queue", "keep", "mail", *wrong)
        assert (status, "Give a time, or --default." in err) == (2, True)


def test_workers_are_listed(taskmill: Taskmill) -> None:
    _, out, _ = taskmill("worker", "list")

    assert out.splitlines()[1].split()[:6] == ["host-1", "alive", "7", "1000", "all", "emulate"]


def test_stats_sum_up_all_queues(taskmill: Taskmill, service: FakeService) -> None:
    service.add(queue="a")
    service.end(service.add(queue="b"), "failed")

    _, out, _ = taskmill("stats")

    assert [line.split() for line in out.splitlines()[1:4]] == [
        ["a", "1", "0", "0", "0", "0"],
        ["b", "0", "0", "0", "1", "0"],
        ["all", "1", "0", "0", "1", "0"],
    ]
    assert "2 tasks; 1 worker, 7 of 1,000 slots in use\nbroker  ok\n" in out


@pytest.mark.parametrize(
    ("state", "trouble", "expected"),
    [
        ("away", "nobody answers", "broker  away  nobody answers"),
        ("none", None, "broker  none: workers claim from PostgreSQL"),
    ],
)
def test_stats_show_the_state_of_a_missing_broker(
    taskmill: Taskmill, service: FakeService, state: str, trouble: str | None, expected: str
) -> None:
    service.broker = {"state": state, "trouble": trouble, "policy": "auto"}

    assert taskmill("stats")[1].splitlines()[-1] == expected


def test_stats_of_a_window_show_what_happened_and_how_long_it_took(taskmill: Taskmill) -> None:
    status, out, _ = taskmill("stats", "--window", "1h")

    lines = out.splitlines()
    assert (status, lines[0].split()[:6]) == (
        0,
        ["QUEUE", "TYPE", "CREATED", "CLAIMED", "SUCCEEDED", "FAILED"],
    )
    times = "5.5 ms 4.5 s 1m 30s - - -"
    # The counts are 1, 2, 3, … in the order of event types; some columns are sums of two.
    assert " ".join(lines[1].split()) == f"mail emulate 11 2 3 12 9 5 13 0.5 {times}"
    assert lines[2].split()[:2] == ["all", "11"]
    assert lines[-1].startswith("since 2030-01-31 ")


@pytest.mark.parametrize(
    ("options", "window"),
    [
        (("--queue", "a"), "5m"),
        (("--type", "b"), "5m"),
        (("--queue", "a", "--window", "7d"), "7d"),
    ],
)
def test_stats_of_a_queue_or_type_default_to_five_minutes(
    taskmill: Taskmill, service: FakeService, options: tuple[str, ...], window: str
) -> None:
    assert taskmill("stats", *options)[0] == 0
    sent = service.requests[-1][1]
    assert f"window={window}" in sent
    assert f"{options[0].removeprefix('--')}={options[1]}" in sent


def test_stats_take_no_other_window(taskmill: Taskmill) -> None:
    status, _, err = taskmill("stats", "--window", "2h")
    assert status == 2
    assert "'5m', '15m', '1h', '6h', '24h', '7d', '30d'" in err


@pytest.mark.parametrize(
    "command",
    [
        ("queue", "list"),
        ("worker", "list"),
        ("stats",),
        ("stats", "--window", "5m"),
        ("queue", "pause", "a"),
    ],
)
def test_every_result_has_a_form_for_programs(
    taskmill: Taskmill, service: FakeService, command: tuple[str, ...]
) -> None:
    service.add()

    status, out, _ = taskmill(*command, "--json")

    assert status == 0
    assert isinstance(orjson.loads(out), dict)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("quiet", "asked to take no more tasks"),
        ("stop", "asked to stop"),
        ("resume", "asked to take tasks again"),
    ],
)
def test_a_worker_is_named_by_its_name_or_id(
    command: str, words: str, taskmill: Taskmill, service: FakeService
) -> None:
    for name in ("host-1", str(UUID(int=1))):
        status, out, _ = taskmill("worker", command, name)
        assert (status, out) == (0, f"host-1  {words}\n")
        assert service.requests[-1][1].endswith(f"/workers/{UUID(int=1)}/{command}")


def test_an_unknown_or_ambiguous_name_of_a_worker_is_an_error(
    taskmill: Taskmill, service: FakeService
) -> None:
    status, _, err = taskmill("worker", "stop", "nobody")
    assert (status, "no live worker nobody" in err) == (1, True)

    service.workers = ["twin", "twin"]
    status, _, err = taskmill("worker", "stop", "twin")
    assert (status, "2 workers are called twin" in err) == (1, True)


def test_long_lists_of_types_are_cut_on_a_pipe_too(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.types_of_workers = [f"type-{number}" for number in range(40)]

    _, out, _ = taskmill("worker", "list")

    assert "type-7,+32" in out
