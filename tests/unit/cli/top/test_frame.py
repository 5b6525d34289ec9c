"""The picture at all sizes, with few and many rows, and with hostile names."""

import pytest
from rich.cells import cell_len

from taskmill.cli.top.frame import frame
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.view import Mode, Pane, View
from tests.support.pictures import (
    a_failure,
    a_picture,
    a_queue,
    a_snapshot,
    a_worker_view,
    an_activity,
    before,
    created,
    rendered,
)

SIZES = [(60, 12), (80, 24), (100, 31), (120, 40), (237, 70), (30, 8), (1, 1)]
FOOTERS = {
    "tables": "q quit",
    "queue": "Esc back",
    "worker": "Esc back",
    "failure": "Esc back",
    "help": "any key",
    "filter": "/x",
}
HOSTILE = [
    "n" * 200,
    "تقرير شهري عن كل شيء",
    "漢字の長い名前" * 20,
    "👩‍👩‍👧🎉🏳️‍🌈👍🏽",
    "\x1b[2J\x1b]0;title\x07 \r\n\t\x00",
    "\u202ereversed\u2066",
    "",
]


def few() -> Snapshot:
    return a_snapshot(
        [
            a_queue("mail", waiting=3, running=7, oldest_s=12),
            a_queue("reports", waiting=2, paused=True, oldest_s=90),
            a_queue("idle"),
        ],
        [a_worker_view()],
        [a_failure(number=number) for number in range(1, 4)],
        an_activity(
            {"mail": {"created": 900, "succeeded": 450, "failed": 90}},
            points=[created(60), created(120), created(90)],
            created=900,
            succeeded=450,
            failed=90,
        ),
    )


def many() -> Snapshot:
    return a_snapshot(
        [a_queue(f"queue-{number:03}", waiting=number, oldest_s=number) for number in range(300)],
        [a_worker_view(f"host-{number}", number) for number in range(300)],
        [a_failure(f"task {number}", number) for number in range(1, 201)],
    )


def hostile() -> Snapshot:
    numbered = list(enumerate(HOSTILE, 1))
    return a_snapshot(
        [a_queue("q" * 63, waiting=10**15, running=10**9, oldest_s=10**9)],
        [
            a_worker_view(name, number, queues=["q" * 63] * 9, types=[name], slots=10**12)
            for number, name in numbered
        ],
        [
            a_failure(name, number, error_type=name, message=name, queue="q" * 63, type="t" * 63)
            for number, name in numbered
        ],
        broker={"state": "away", "trouble": "\x1b[31mno\n" * 99, "policy": "rabbitmq"},
    )


SNAPSHOTS = {"nothing": a_snapshot, "few": few, "many": many, "hostile": hostile}


def view_of(picture: str, snapshot: Snapshot) -> View:
    """A view in which a part of the snapshot is open."""
    view = View()
    rows = {"queue": snapshot.queues, "worker": snapshot.workers, "failure": snapshot.failures}
    if picture == "help":
        view.mode = Mode.HELP
    elif picture in rows:
        view.pane = Pane(f"{picture}s")
        view.opened = view.chosen(a_picture(snapshot).board)
        view.mode = Mode.DETAILS
    elif picture == "filter":
        view.mode, view.filter = Mode.FILTER, "x\x1b" * 60
    return view


@pytest.mark.parametrize("kind", SNAPSHOTS)
@pytest.mark.parametrize("opened", ["tables", "queue", "worker", "failure", "help", "filter"])
def test_every_picture_is_as_large_as_the_terminal_and_steers_nothing(
    kind: str, opened: str
) -> None:
    snapshot = SNAPSHOTS[kind]()
    picture = a_picture(snapshot, view_of(opened, snapshot), trouble="no response: " + "x" * 300)

    for width, height in SIZES:
        lines = [line.plain for line in frame(picture, width, height)]
        assert len(lines) == height
        assert [line for line in lines if cell_len(line) > width] == []
        assert [line for line in lines if not line.isprintable()] == []
        if height >= 12:
            assert lines[-1].startswith(FOOTERS[opened])


def test_a_small_terminal_has_all_three_tables_and_what_needs_attention() -> None:
    lines = rendered(few())

    assert lines[0].startswith("taskmill top  http://127.0.0.1:8000")
    assert lines[1] == "tasks   12  new 5  running 7  succeeded 0  failed 0  cancelled 0"
    assert lines[2].startswith("created 1.0/s     ▃▆█")
    assert "waited  p50 12 ms   p95 4.5 s" in lines[2]
    assert lines[3].startswith("ended   0.6/s")
    assert "failed  0.1/s" in lines[4]
    assert "7 of 100  1 worker" in lines[4]
    assert lines[5] == "! paused with tasks waiting: reports (2)"
    assert lines[7].split() == [
        "QUEUES",
        "3",
        "STATE",
        "WAITING",
        "RUNNING",
        "ENDED/S",
        "FAILED/S",
        "OLDEST",
    ]
    assert [line.split()[:4] for line in lines[8:11]] == [
        ["reports", "paused", "2", "0"],
        ["mail", "open", "3", "7"],
        ["idle", "idle", "0", "0"],
    ]
    assert lines[9].split()[4:] == ["0.6", "0.1", "12", "s"]
    assert lines[12].split()[:6] == ["host-1", "alive", "7", "of", "100", "3"]
    assert lines[13].startswith("FAILURES ")
    assert lines[14].split(maxsplit=5) == [
        *("monthly", "report", "1", "s", "mail"),
        "ValueError  no such customer",
    ]
    assert lines[-1].startswith("q quit")


def test_a_wide_terminal_shows_more() -> None:
    headings = next(line for line in rendered(few(), width=140) if line.startswith("QUEUES"))

    assert headings.split()[-6:] == ["ENDED/S", "FAILED/S", "WAIT", "P50", "P95", "OLDEST"]
    assert "NEW/S" in headings


def test_rows_that_do_not_fit_are_counted() -> None:
    text = "\n".join(rendered(many()))

    assert "QUEUES 1-6 of 300" in text
    assert "WORKERS 1-3 of 300" in text
    assert "FAILURES 1-4 " in text
    assert "waiting long: queue-299 4m 59s, queue-298 4m 58s, queue-297 4m 57s and 237 mo…" in text


def test_one_table_can_have_all_the_room() -> None:
    view = View(pane=Pane.WORKERS, is_zoomed=True)

    lines = rendered(many(), view)

    assert "WORKERS 1-15 of 300" in "\n".join(lines)
    assert not any(line.startswith(("QUEUES", "FAILURES")) for line in lines)


def test_an_empty_system_shows_how_to_begin() -> None:
    text = "\n".join(rendered(a_snapshot()))

    assert "✓ nothing needs attention" in text
    assert "no queues yet: a queue is made by its first task" in text
    assert "no workers: start one with `taskmill run worker`" in text
    assert "no failures" in text


def test_before_the_first_response_there_is_only_the_trouble() -> None:
    lines = frame(a_picture(None, trouble="no response: refused"), 80, 24)

    assert lines[1].plain.rstrip() == "trying again: no response: refused"
    assert "waiting for the first response" in "\n".join(rendered(None))


def test_an_old_picture_is_marked_as_old() -> None:
    lines = frame(a_picture(few(), trouble="no response: refused"), 80, 24)

    assert lines[1].plain.rstrip() == "what is shown is old, trying again: no response: refused"


def test_a_traceback_is_shown_by_its_last_line_and_in_full_when_it_is_open() -> None:
    message = "Traceback (most recent call last):\n  File x\nKeyError: 'colour'"
    snapshot = a_snapshot(failures=[a_failure(message=message)])

    assert any("ValueError  KeyError: 'colour'" in line for line in rendered(snapshot))
    opened = rendered(snapshot, view_of("failure", snapshot))
    assert [line for line in opened if line in message.splitlines()] == message.splitlines()


def test_workers_over_http_are_one_row_for_each_name() -> None:
    leases = [
        a_worker_view("puller", number, remote=True, slots=1, running=1) for number in range(1, 9)
    ]
    ended = a_worker_view("old", 99, state="closed", closed_at=before(minutes=9))

    lines = rendered(a_snapshot(workers=[ended, *leases]))
    position = next(at for at, line in enumerate(lines) if line.startswith("WORKERS 2"))

    assert lines[position + 1].split()[:6] == ["puller", "over", "HTTP", "8", "of", "8"]
    assert lines[position + 2].split()[:2] == ["old", "ended"]


def test_details_of_a_queue_name_who_serves_it_and_what_failed() -> None:
    snapshot = few()
    view = view_of("queue", snapshot)
    view.opened = a_picture(snapshot).board.queues[1]

    text = "\n".join(rendered(snapshot, view))

    assert "queue mail  open" in text
    assert "waiting   3  the oldest one for 12 s" in text
    assert "serve it  host-1" in text
    assert "1 s  monthly report  ValueError: no such customer" in text
