"""The screen at all sizes, with few and many rows, and with hostile names."""

import re
from collections.abc import Sequence

import pytest
from rich.cells import cell_len

from taskmill.cli.top.app import Top
from taskmill.cli.top.details import help_lines
from taskmill.cli.top.reading import Snapshot
from taskmill.domain.attention import NoticeKind, Severity
from taskmill.domain.error_kinds import kind_id
from tests.support.pictures import (
    a_failure,
    a_notice,
    a_queue,
    a_snapshot,
    a_top,
    a_worker_view,
    an_activity,
    before,
    created,
    lines,
)
from tests.support.polling import eventually

SIZES = [(60, 12), (80, 24), (100, 31), (120, 40), (237, 70), (30, 8), (1, 1)]
OPENED = {
    "tables": ([], "tab table"),
    "zoomed": (["z"], "tab table"),
    "queue": (["enter"], "↑↓ scroll"),
    "worker": (["tab", "enter"], "↑↓ scroll"),
    "failure": (["left", "enter"], "↑↓ scroll"),
    "filter": (["/", "x"], "/x"),
    "help": (["?"], ""),
    "question": (["P"], "resume reports? y/n"),
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
        [a_notice("Queue reports is paused, 2 tasks wait.", queue="reports")],
    )


def many() -> Snapshot:
    return a_snapshot(
        [a_queue(f"queue-{number:03}", waiting=number, oldest_s=number) for number in range(300)],
        [a_worker_view(f"host-{number}", number) for number in range(300)],
        [a_failure(error_type=f"Error{number}", number=number) for number in range(1, 201)],
        notices=[a_notice(f"notice {number}") for number in range(9)],
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
        notices=[a_notice("\x1b[31mno\n" * 99, severity=Severity.TROUBLE)],
        broker={"state": "away", "trouble": "\x1b[31mno\n" * 99, "policy": "rabbitmq"},
    )


async def rendered(
    snapshot: Snapshot | None, *keys: str, width: int = 80, height: int = 24
) -> list[str]:
    """Return the lines on the screen after these keys."""
    async with a_top(snapshot, width=width, height=height) as (app, pilot):
        await pilot.press(*keys)
        await pilot.pause()
        return lines(app)


def at(shown: Sequence[str], start: str) -> int:
    return next(number for number, line in enumerate(shown) if line.startswith(start))


def check(app: Top, width: int, height: int) -> list[str]:
    """Whatever is shown fits the terminal and can't steer it; returns the lines."""
    shown = lines(app)
    assert len(shown) == height
    assert [line for line in shown if cell_len(line) > width] == []
    assert [line for line in shown if not line.isprintable()] == []
    return shown


@pytest.mark.parametrize("snapshot", [a_snapshot(), few(), many(), hostile()])
async def test_every_table_is_as_large_as_the_terminal_and_steers_nothing(
    snapshot: Snapshot,
) -> None:
    async with a_top(snapshot) as (app, pilot):
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            check(app, width, height)


@pytest.mark.parametrize("opened", OPENED)
async def test_whatever_is_open_is_as_large_as_the_terminal_and_steers_nothing(opened: str) -> None:
    keys, last = OPENED[opened]
    async with a_top(few() if opened == "question" else hostile()) as (app, pilot):
        await pilot.press(*keys)

        async def is_open() -> bool:
            await pilot.pause()
            return lines(app)[-1].startswith(last)

        await eventually(is_open, last)
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            shown = check(app, width, height)
            if width >= 60:
                assert shown[-1].startswith(last)


async def test_a_small_terminal_has_all_three_tables_and_what_needs_attention() -> None:
    shown = await rendered(few())

    assert shown[0].startswith("taskmill top  http://1")
    assert shown[1] == "tasks   12  new 5  running 7  succeeded 0  failed 0  cancelled 0"
    assert shown[2].startswith("created 1.0/s     ▃▆█")
    assert "waited  p50 12 ms   p95 4.5 s" in shown[2]
    assert shown[3].startswith("ended   0.6/s")
    assert "failed  0.1/s" in shown[4]
    assert "7 of 100  1 worker" in shown[4]
    assert shown[5] == "! Queue reports is paused, 2 tasks wait."
    columns = "QUEUES 3 STATE WAITING RUNNING ENDED/S FAILED/S OLDEST"
    assert shown[7].split() == columns.split()
    assert [line.split()[:4] for line in shown[8:11]] == [
        ["reports", "paused", "2", "0"],
        ["mail", "open", "3", "7"],
        ["idle", "idle", "0", "0"],
    ]
    assert shown[9].split()[4:] == ["0.6", "0.1", "12", "s"]
    assert shown[12].split()[:6] == ["host-1", "alive", "7", "of", "100", "3"]
    assert shown[13].startswith("FAILURES ")
    assert re.split("  +", shown[14]) == [
        *("ValueError: no such customer", "3", "1 s", "monthly report")
    ]
    assert shown[-1] == "tab table ↑↓ choose ⏎ details q quit ? help P pause / filter z zoom"


async def test_a_wide_terminal_shows_more() -> None:
    shown = await rendered(few(), width=140)
    headings = shown[at(shown, "QUEUES")]

    assert headings.split()[-6:] == ["ENDED/S", "FAILED/S", "WAIT", "P50", "P95", "OLDEST"]
    assert "NEW/S" in headings


async def test_rows_that_do_not_fit_are_counted() -> None:
    text = "\n".join(await rendered(many()))

    assert "QUEUES 1-5 of 300" in text
    assert "WORKERS 1-3 of 300" in text
    assert "FAILURES 1-5 " in text
    assert "! notice 0" in text
    assert re.search(r"! notice 1 .*  and 7 more$", text, re.MULTILINE)


async def test_a_table_gets_no_more_room_than_it_needs() -> None:
    queues = [a_queue(f"queue-{number}") for number in range(40)]

    shown = await rendered(a_snapshot(queues, [a_worker_view()], [a_failure()]))

    assert "QUEUES 1-11 of 40" in "\n".join(shown)
    assert at(shown, "FAILURES") - at(shown, "WORKERS") == 2
    assert shown[-2].startswith("ValueError: no such customer")


async def test_one_table_can_have_all_the_room() -> None:
    shown = await rendered(many(), "z", "tab")

    assert "WORKERS 1-15 of 300" in "\n".join(shown)
    assert not any(line.startswith(("QUEUES", "FAILURES")) for line in shown)


async def test_an_empty_system_shows_how_to_begin() -> None:
    text = "\n".join(await rendered(a_snapshot()))

    assert "✓ all well" in text
    assert "no queues yet: a queue is made by its first task" in text
    assert "no workers: start one with `taskmill run worker`" in text
    assert "no failures" in text


async def test_a_traceback_is_shown_by_its_last_line_and_in_full_when_it_is_open() -> None:
    message = "Traceback (most recent call last):\n  File x\nKeyError: 'colour'"
    snapshot = a_snapshot(failures=[a_failure(message=message)])

    assert any("ValueError: KeyError: 'colour'" in line for line in await rendered(snapshot))
    opened = await rendered(snapshot, "left", "enter")
    assert [line for line in opened if line in message.splitlines()] == message.splitlines()


async def test_workers_over_http_are_one_row_for_each_name() -> None:
    leases = [
        a_worker_view("puller", number, remote=True, slots=1, running=1) for number in range(1, 9)
    ]
    ended = a_worker_view("old", 99, state="closed", closed_at=before(minutes=9))
    lost = a_worker_view(
        "gone", 98, state="closed", closed_at=before(minutes=9), close_reason="expired"
    )

    shown = await rendered(a_snapshot(workers=[ended, lost, *leases]))
    position = at(shown, "WORKERS 3")

    assert shown[position + 1].split()[:6] == ["puller", "over", "HTTP", "8", "of", "8"]
    assert [shown[position + row].split()[:2] for row in (2, 3)] == [
        ["gone", "lost"],
        ["old", "ended"],
    ]


async def test_details_of_a_queue_name_who_serves_it_and_what_failed() -> None:
    text = "\n".join(await rendered(few(), "down", "enter"))

    assert "queue mail  open" in text
    assert "waiting   3  the oldest one for 12 s" in text
    assert "serve it  host-1" in text
    assert "1 s  monthly report  ValueError: no such customer" in text


async def test_failures_are_listed_by_kind_that_of_the_newest_first() -> None:
    place = "shop.mail.send"
    failures = [
        a_failure("late", 1, message="no answer in 3 s", place=place),
        a_failure("no customer", 2, message="no customer 17"),
        a_failure("later", 3, message="no answer in 4 s", place=place, type="bill"),
    ]
    shown = await rendered(a_snapshot(failures=failures), width=120)
    first = at(shown, "FAILURES") + 1
    assert shown[first].split("  ")[0] == "ValueError in shop.mail.send"
    assert re.search(r" 2 +1 s  send,bill +late$", shown[first])
    assert shown[first + 1].startswith("ValueError: no customer #")
    opened = "\n".join(await rendered(a_snapshot(failures=failures), "left", "enter"))
    assert "2 of this kind among the newest failures" in opened
    assert "3 s  mail  bill  later" in opened
    assert f"taskmill failure show {kind_id('ValueError in shop.mail.send')}" in opened


async def test_types_without_a_worker_are_named_with_queue_and_number() -> None:
    sentence = "No worker runs type bill of queue mail, and 1,234 tasks are due."
    notice = a_notice(sentence, NoticeKind.UNSERVED, queue="mail", severity=Severity.TROUBLE)
    snapshot = a_snapshot([a_queue("mail", waiting=1_234, oldest_s=9)], notices=[notice])
    shown = await rendered(snapshot)
    assert any(line == f"✗ {sentence}" for line in shown)
    assert "no worker" in shown[at(shown, "QUEUES") + 1]
    assert any(line.startswith(sentence) for line in await rendered(snapshot, "enter"))


async def test_the_help_fits_in_a_terminal_of_80_columns_and_24_lines() -> None:
    shown = await rendered(few(), "?")
    wanted = [line.plain.rstrip() for line in help_lines(80)]
    assert len(wanted) <= 24
    assert all(len(line) <= 80 for line in wanted)
    assert shown[: len(wanted)] == wanted


async def test_the_chosen_row_and_its_tables_heading_stand_out() -> None:
    async with a_top(few()) as (app, pilot):
        await pilot.press("tab")
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        reversed_ones = [
            strip.text.split()[0]
            for strip in strips
            if any(segment.style and segment.style.reverse for segment in strip)
        ]
    assert reversed_ones == ["taskmill", "WORKERS", "host-1"]
