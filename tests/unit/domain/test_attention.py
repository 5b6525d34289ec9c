"""What needs attention, and since when; what does not; and how the verdict follows."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain import attention_texts
from taskmill.domain.attention import (
    MOST_OF_A_KIND,
    MarkState,
    Notice,
    NoticeKind,
    NoticeMark,
    NoticeRecord,
    Severity,
    conclude,
    ordered,
)
from taskmill.domain.attention_rules import find_notices, is_late
from taskmill.domain.attention_snapshot import FailingDuty
from taskmill.domain.attention_texts import TEXTS, action, sentence
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Liveness, WorkerRequest
from tests.support.attention import (
    CASES,
    NOON,
    WEBHOOK,
    WELL,
    ago,
    attention,
    database,
    deliveries,
    due,
    ends,
    figures,
    notices,
    process,
    queue,
    silent,
    snapshot,
    worker,
)
from tests.support.every import every

WARNING, TROUBLE = Severity.WARNING, Severity.TROUBLE


def kinds(**parts: Any) -> list[NoticeKind]:  # noqa: ANN401 - the fields of a snapshot
    return [one.kind for one in notices(**parts)]


def test_all_is_well_where_nothing_is_wrong() -> None:
    busy = attention(
        queues=[queue(waiting=5, entered=100, left=100), queue("idle", paused_at=ago(days=2))],
        due=[due(since=ago(seconds=59))],
        ends=[ends(succeeded=1000, failed=9)],
    )
    assert (list(busy.notices), busy.count, busy.is_trouble) == ([], 0, False)


def test_every_sentence_has_a_case_and_every_case_a_sentence() -> None:
    assert CASES.keys() == TEXTS.keys()
    assert {name.partition(".")[0] for name in TEXTS} == set(NoticeKind)


@every("case", CASES)
def test_a_case_is_found_and_is_put_into_words(case: str) -> None:
    found = [one for one in notices(**CASES[case]) if one.text == case]

    assert len(found) == 1
    for text in (sentence(found[0]), action(found[0])):
        assert text[0].isupper() or text[0].isdigit() or text.startswith("Taskmill")
        assert "{" not in text


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("unserved.due", "No worker runs type send of queue mail, and 12 tasks are due."),
        ("worker_lost.running", "Worker host-9 was lost with 4 tasks, which were taken back."),
        (
            "backlog_growing.growing",
            "Queue mail gets 40.0 tasks a minute more than leave it; the oldest one waits for 2m.",
        ),
        (
            "late.shrinking",
            "Queue mail: the oldest due task waits for 2m; at this rate all are gone in 1m.",
        ),
        (
            "failures_up.up",
            "Type send of queue mail: 20% of the last 100 ends failed, 1% the day before.",
        ),
        ("slots_full.full", "9 of 10 slots are taken while tasks wait in mail."),
        ("paused.paused", "Queue mail is paused, 2 tasks wait."),
        ("versions_differ.processes", "Processes run different versions: 1.0.0, 1.1.0."),
    ],
)
def test_sentences_have_names_and_numbers(case: str, words: str) -> None:
    [found] = [one for one in notices(**CASES[case]) if one.text == case]
    assert sentence(found) == words


def test_one_of_something_is_not_many() -> None:
    [found] = notices(queues=[queue(waiting=1, paused_at=ago(hours=1))])
    assert sentence(found) == "Queue mail is paused, 1 task waits."


def test_what_it_is_about_and_since_when_is_known() -> None:
    [found] = notices(
        queues=[queue(waiting=12)], due=[due(since=ago(minutes=14), workers=0, tasks=12)]
    )
    assert (found.queue, found.since, found.tasks, found.are_more) == (
        *("mail", ago(minutes=14), 12, False),
    )


def test_each_webhook_to_one_host_has_a_name_of_its_own() -> None:
    other = replace(WEBHOOK, id=UUID(int=7), description="")
    elsewhere = replace(other, id=UUID(int=8), host="example.org")
    named = [one.facts["webhook"] for one in notices(webhooks=[WEBHOOK, other, elsewhere])]
    assert named == ["shop.example.org (Orders)", "shop.example.org (000000000007)", "example.org"]


def test_a_type_without_a_worker_is_named_also_where_others_are_served() -> None:
    found = notices(
        queues=[queue(waiting=12)],
        due=[due(type_="render", workers=0), due(type_="send", since=ago(minutes=2))],
    )
    assert [(one.kind, one.subject) for one in found] == [
        (NoticeKind.UNSERVED, "mail render"),
        (NoticeKind.LATE, "mail"),
    ]


def test_without_any_worker_that_is_the_only_notice() -> None:
    waiting = {"queues": [queue(waiting=3)], "due": [due(workers=0, since=ago(minutes=3))]}
    [found] = notices(workers=[], **waiting)
    assert (found.kind, found.severity, found.since) == (
        *(NoticeKind.NO_WORKERS, Severity.TROUBLE, ago(minutes=3)),
    )
    [idle] = notices(workers=[worker(state=Liveness.CLOSED, closed_at=NOON)])
    assert (idle.text, idle.severity) == ("no_workers.idle", Severity.WARNING)


def test_a_paused_queue_is_neither_late_nor_unserved() -> None:
    paused = queue(waiting=3, paused_at=ago(hours=1))
    assert kinds(queues=[paused], due=[due(workers=0, since=ago(hours=1))]) == [NoticeKind.PAUSED]


@pytest.mark.parametrize(("seconds", "late"), [(59.9, False), (60, True)])
def test_a_task_is_late_after_a_minute(seconds: float, late: bool) -> None:  # noqa: FBT001 - a case
    since = ago(seconds=seconds)
    assert is_late(since, NOON) is late
    assert kinds(queues=[queue()], due=[due(since=since)]) == [NoticeKind.LATE] * late


@pytest.mark.parametrize(
    ("entered", "left", "text"),
    [
        (109, 100, "late.waiting"),
        (110, 100, "backlog_growing.growing"),
        (10_000, 9_600, "late.waiting"),
        (10_000, 9_500, "backlog_growing.growing"),
        (100, 100, "late.waiting"),
        (100, 101, "late.shrinking"),
    ],
)
def test_a_backlog_grows_when_clearly_more_comes_than_goes(
    entered: int, left: int, text: str
) -> None:
    [found] = notices(queues=[queue(entered=entered, left=left)], due=[due(since=ago(minutes=2))])
    assert found.text == text
    is_growing = text.endswith("growing")
    assert found.severity is (Severity.TROUBLE if is_growing else Severity.WARNING)


def test_when_a_backlog_will_be_gone_is_reported_only_of_one_that_was_counted_to_its_end() -> None:
    large = due(since=ago(hours=1), tasks=10_000, are_more=True)
    [found] = notices(queues=[queue(waiting=5_000_000, entered=0, left=900)], due=[large])
    assert (found.text, found.are_more) == ("late.waiting", True)
    assert "gone" not in sentence(found)


@pytest.mark.parametrize(
    ("counts", "text", "severity"),
    [
        ({"succeeded": 1, "failed": 9}, None, None),
        ({"succeeded": 41, "failed": 10}, None, None),
        ({"succeeded": 40, "failed": 10}, "failing.failing", Severity.WARNING),
        ({"succeeded": 10, "failed": 10}, "failing.failing", Severity.TROUBLE),
        # Usual for it: a third failed yesterday, too.
        ({"succeeded": 70, "failed": 30, "day_succeeded": 67, "day_failed": 33}, "failing.failing", WARNING),
        ({"succeeded": 90, "failed": 10, "day_succeeded": 100}, "failures_up.up", Severity.WARNING),
        ({"succeeded": 90, "failed": 10, "day_succeeded": 49}, None, None),
        ({"succeeded": 90, "failed": 10, "day_succeeded": 94, "day_failed": 6}, None, None),
        ({"succeeded": 960, "failed": 40, "day_succeeded": 990, "day_failed": 10}, None, None),
        ({"succeeded": 40, "failed": 60, "day_succeeded": 90, "day_failed": 10}, "failures_up.up", TROUBLE),
    ],
)  # fmt: skip
def test_a_share_of_failures_is_compared_with_its_own_day(
    counts: dict[str, int], text: str | None, severity: Severity | None
) -> None:
    found = [(one.text, one.severity) for one in notices(ends=[ends(**counts)])]
    assert found == ([] if text is None else [(text, severity)])


def test_slots_are_full_only_while_something_waits_for_them() -> None:
    full = {"workers": [worker(running=9)], "queues": [queue()]}
    assert kinds(**full) == []
    assert kinds(**full, due=[due(workers=0)]) == [NoticeKind.UNSERVED]
    assert kinds(**full, due=[due()]) == [NoticeKind.SLOTS_FULL]
    assert kinds(**{**full, "workers": [worker(running=8)]}, due=[due()]) == []


def test_workers_that_pull_over_http_are_not_missed_while_they_wait_for_tasks() -> None:
    only = {"workers": [], "pulled": {"send"}, "queues": [queue(waiting=1)]}
    assert kinds(**only) == []
    assert kinds(**only, due=[due(workers=0)]) == []
    assert kinds(**only, due=[due(since=ago(minutes=1), workers=0)]) == [NoticeKind.UNSERVED]
    assert kinds(**only, due=[due(type_="render", workers=0)]) == [NoticeKind.UNSERVED]


def test_a_worker_is_silent_first_and_later_maintenance_is_missed() -> None:
    assert kinds(workers=[worker(), silent(59)]) == [NoticeKind.WORKER_SILENT]
    assert kinds(workers=[worker(), silent(60)]) == [
        *(NoticeKind.NO_MAINTENANCE, NoticeKind.WORKER_SILENT),
    ]


def test_a_worker_that_stops_when_it_is_empty_is_to_stop() -> None:
    emptying = worker(request=WorkerRequest.QUIET, stop_when_empty=True)
    assert [one.text for one in notices(workers=[emptying])] == ["worker_stopping.stop"]


def test_a_broker_that_is_starting_is_not_away() -> None:
    away = CASES["broker_away.replaced"]["broker"]
    assert kinds(broker=replace(away, is_starting=True)) == []
    assert kinds(broker=replace(WELL)) == []


@pytest.mark.parametrize(
    "well",
    [
        database(unnumbered_s=9.9),
        database(snapshot_s=299.0, xmin_age=4_999_999),
        deliveries(late_s=59.0, unread_s=59.0),
        figures(lags_s={"rabbitmq": 59.0, "webhooks": 99.0}),
        figures(weeks_ahead=2, partitions=65),
    ],
)
def test_figures_within_their_bounds_are_well(well: object) -> None:
    assert kinds(figures=well) == []


def test_who_sees_some_queues_only_learns_nothing_of_the_service_itself() -> None:
    broken = {**CASES["webhook_failing.failing"], "figures": None, "is_whole": False}
    assert kinds(**broken) == []
    assert kinds(**broken, **CASES["broker_away.replaced"]) == [NoticeKind.BROKER_AWAY]


def test_a_role_is_missing_when_its_last_process_did_not_stop_in_order() -> None:
    gone = process(seen_at=ago(minutes=4))
    assert kinds(processes=[gone]) == [NoticeKind.ROLE_MISSING]
    assert kinds(processes=[gone, process("host-2")]) == []
    assert kinds(processes=[process(roles=["worker", "api"], seen_at=ago(minutes=4))]) == []
    assert kinds(processes=[process(seen_at=ago(minutes=2))]) == []


def test_a_duty_may_fail_twice_and_a_clock_may_differ_a_little() -> None:
    duty = FailingDuty(name="rescue", failures=2, for_s=9.0, error="OSError")
    assert kinds(processes=[process(failing=[duty], clock_ahead_s=-4.9)]) == []


def test_what_is_the_same_of_several_is_one_notice() -> None:
    duty = FailingDuty(name="contracts", failures=3, for_s=9.0, error="OSError")
    assert kinds(processes=[process(failing=[duty, duty])]) == [NoticeKind.DUTY_FAILING]
    skewed = process("set-by-hand", clock_ahead_s=60.0)
    assert kinds(processes=[skewed, replace(skewed, id=UUID(int=4))]) == [NoticeKind.CLOCK_SKEW]


def test_trouble_comes_first_and_then_the_order_of_kinds() -> None:
    both = {**CASES["paused.paused"], **CASES["worker_lost.running"], **CASES["expiries.expired"]}
    found = notices(**both, figures=figures(weeks_ahead=0))
    assert [one.kind for one in found] == [
        NoticeKind.WORKER_LOST,
        NoticeKind.PARTITIONS_MISSING,
        NoticeKind.EXPIRIES,
        NoticeKind.PAUSED,
    ]


def test_beyond_some_of_a_kind_one_notice_says_how_many_others_there_are() -> None:
    paused = [
        queue(f"q{number:02}", waiting=2, paused_at=ago(hours=number)) for number in range(50)
    ]
    found = attention(queues=paused)
    assert len(found.notices) == MOST_OF_A_KIND
    assert found.count == 50
    last = found.notices[-1]
    assert (last.count, last.tasks, last.since) == (31, 62, ago(hours=49))
    assert sentence(last) == "And 31 more of this kind: paused."
    just = attention(queues=paused[:MOST_OF_A_KIND])
    assert [one.count for one in just.notices] == [1] * MOST_OF_A_KIND


def test_an_id_stays_the_same_as_long_as_it_is_about_the_same() -> None:
    [one] = notices(queues=[queue(waiting=2, paused_at=ago(hours=1))])
    [later] = notices(queues=[queue(waiting=9, paused_at=ago(hours=2))])
    [other] = notices(queues=[queue("bills", waiting=2, paused_at=ago(hours=1))])
    assert one.id == later.id
    assert len({one.id, other.id}) == 2


def test_things_of_a_kind_are_counted() -> None:
    both = {**CASES["paused.paused"], **CASES["worker_lost.running"]}
    found = attention(**both)
    assert found.count_of(NoticeKind.PAUSED, NoticeKind.LATE) == 1
    assert found.count_of(NoticeKind.LATE) == 0


def test_what_somebody_has_seen_to_comes_last_and_counts_no_more() -> None:
    lost = notices(**CASES["worker_lost.running"])
    paused = notices(**CASES["paused.paused"])
    mark = NoticeMark(state=MarkState.ACKNOWLEDGED, by="on-call", at=NOON, note="known")
    records = {lost[0].id: NoticeRecord(first_at=ago(hours=3), mark=mark)}
    found = conclude(NOON, [*lost, *paused], records, well_since=ago(hours=9))
    assert [one.mark for one in found.notices] == [None, mark]
    assert (found.count, found.is_trouble, found.well_since) == (1, False, None)
    alone = conclude(NOON, lost, records, well_since=ago(hours=9))
    assert (alone.count, alone.is_trouble, alone.well_since) == (0, False, ago(hours=9))


def test_what_does_not_know_since_when_it_is_there_has_it_from_its_record() -> None:
    full = notices(**CASES["slots_full.full"])
    late = notices(**CASES["paused.paused"])
    records = {one.id: NoticeRecord(first_at=ago(minutes=7)) for one in (*full, *late)}
    found = conclude(NOON, [*full, *late], records)
    assert [one.since for one in found.notices] == [ago(minutes=7), ago(hours=1)]


def test_those_that_somebody_has_seen_to_do_not_hide_others_of_their_kind() -> None:
    paused = notices_of_many(30)
    mark = NoticeMark(state=MarkState.SILENCED, by="on-call", at=NOON, until=NOON)
    records = {one.id: NoticeRecord(first_at=NOON, mark=mark) for one in paused[:25]}
    found = conclude(NOON, paused, records)
    assert [one.count for one in found.active] == [1] * 5
    assert (len(found.notices), found.count) == (5 + MOST_OF_A_KIND, 5)
    assert found.notices[-1].mark == mark


def notices_of_many(number: int) -> list[Notice]:
    queues = [queue(f"q{one:02}", waiting=1, paused_at=NOON) for one in range(number)]
    return find_notices(snapshot(queues=queues))


def test_no_notices_are_no_trouble() -> None:
    assert ordered([]) == []
    nothing = conclude(NOON, [])
    assert not nothing.is_trouble
    waiting = attention(queues=[queue(counts={Status.SUCCEEDED: 5}, paused_at=NOON)])
    assert waiting.count == 0


def test_full_slots_need_attention_when_a_task_has_waited_for_seconds() -> None:
    full = CASES["slots_full.full"]
    assert notices(**full) != []
    assert notices(**{**full, "due": [due(since=ago(seconds=4.9))]}) == []


def test_a_long_text_in_a_sentence_is_cut() -> None:
    assert str(attention_texts._shown("name", "x" * 10_000)).endswith("x…")
