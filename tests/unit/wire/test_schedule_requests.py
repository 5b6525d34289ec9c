import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.schedules.spec import (
    CatchUp,
    Fold,
    Gap,
    Overlap,
    ScheduleSpec,
    TickPolicy,
)
from taskmill.wire.schedule_requests import (
    ScheduleDraft,
    policy_fields,
    policy_of,
    spec_fields,
    spec_of,
    to_schedule,
)
from tests.support.tick_walk import utc

TASK = {"name": "nightly report", "type": "report"}


def requested(**fields: object) -> ScheduleDraft:
    return to_schedule({"task": TASK, **fields})


def refused(body: object) -> dict[str, tuple[str, str]]:
    """What is expected and what came, by pointer."""
    with pytest.raises(InvalidInput) as caught:
        to_schedule(body)
    return {one.pointer: (one.expected, one.got) for one in caught.value.violations}


def got(**fields: object) -> dict[str, str]:
    found = refused({"task": TASK, **fields})
    return {pointer: what for pointer, (_, what) in found.items()}


def test_a_schedule_needs_a_time_and_a_task_only() -> None:
    draft = requested(cron="30 2 * * *")
    assert draft.spec == ScheduleSpec(cron="30 2 * * *")
    assert draft.policy == TickPolicy()
    assert draft.task == '{"name":"nightly report","type":"report"}'
    assert (draft.draft.name, draft.draft.type, draft.draft.source) == (
        "nightly report",
        "report",
        "schedule",
    )


FULL = {
    "cron": " 30\t2 * * mon ",
    "zone": "Europe/Moscow",
    "gap": "skip",
    "fold": "both",
    "starts_at": "2026-01-01T03:00:00+03:00",
    "ends_at": "2027-01-01T00:00:00Z",
    "jitter_s": 30,
    "catch_up": "all",
    "within": "P1D",
    "most": 7,
    "overlap": "hold_one",
}


def test_all_that_is_given_counts() -> None:
    draft = requested(**FULL)
    assert draft.spec == ScheduleSpec(
        cron="30 2 * * mon",
        zone="Europe/Moscow",
        gap=Gap.SKIP,
        fold=Fold.BOTH,
        starts_at=utc(2026, 1, 1),
        ends_at=utc(2027, 1, 1),
        jitter_s=30.0,
    )
    assert draft.policy == TickPolicy(
        catch_up=CatchUp.ALL, within=timedelta(days=1), most=7, overlap=Overlap.HOLD_ONE
    )


@pytest.mark.parametrize(
    "fields",
    [
        FULL,
        {"every": "PT90M", "anchor": "2026-01-01T09:00:00Z"},
        {"at": ["2030-01-01T00:00:00Z", "2030-01-02T00:00:00.5+03:00"]},
        {"cron": "@daily"},
    ],
)
def test_a_spec_and_a_policy_are_read_as_they_were_stored(fields: dict[str, Any]) -> None:
    draft = requested(**fields)
    stored = spec_fields(draft.spec)
    assert set(stored) == {
        *("cron", "every", "at", "anchor", "zone", "gap", "fold", "starts_at", "ends_at"),
        "jitter_s",
    }
    assert spec_of(stored) == draft.spec
    assert policy_of(policy_fields(draft.policy)) == draft.policy
    assert requested(**stored).spec == draft.spec


def test_exactly_one_kind_of_time_is_needed() -> None:
    assert got() == {"": "none of them"}
    assert got(cron=None, at=None) == {"": "none of them"}
    times = ["2030-01-01T00:00:00Z"]
    assert got(cron="@daily", every="PT1H") == {"/every": "cron and every"}
    assert got(cron="@daily", at=times) == {"/at": "cron and at"}
    assert got(cron="@daily", every="PT1H", at=times) == {
        "/every": "cron and every and at",
        "/at": "cron and every and at",
    }


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("61 * * * *", "bad minute"),
        ("* * *", "wrong number of fields"),
        ("0 0 31 2 *", "it matches no date"),
        ("@reboot", "wrong number of fields"),
    ],
)
def test_what_is_wrong_with_a_cron_expression_is_named(cron: str, why: str) -> None:
    assert got(cron=cron) == {"/cron": f'the string "{cron}": {why}'}


def test_a_very_long_expression_is_refused_and_not_repeated() -> None:
    assert got(cron="1," * 300) == {"/cron": "a string of 600 characters"}
    assert len(got(cron="1," * 240)["/cron"]) < 120


@pytest.mark.parametrize("cron", ["", "* * * *\0 *", "* * * * ٣", 5, ["@daily"]])
def test_an_expression_is_printable_text(cron: object) -> None:
    assert set(got(cron=cron)) == {"/cron"}


def test_the_nearest_zone_is_suggested() -> None:
    assert got(cron="@daily", zone="Europe/Moskow") == {
        "/zone": 'the string "Europe/Moskow" (did you mean "Europe/Moscow"?)'
    }
    assert got(cron="@daily", zone="qqqq") == {"/zone": 'the string "qqqq"'}
    assert set(got(cron="@daily", zone="../../etc/passwd")) == {"/zone"}
    assert set(got(cron="@daily", zone="")) == {"/zone"}


def test_ticks_are_a_second_or_more_apart() -> None:
    assert got(every="PT0.9S") == {"/every": "0:00:00.900000"}
    assert got(every="PT0S") == {"/every": "0:00:00"}
    assert requested(every="PT1S").spec.every == timedelta(seconds=1)
    assert set(got(every="P36526D")) == {"/every"}
    assert requested(every="P36525D").spec.every == timedelta(days=36_525)
    times = ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.9Z", "2030-01-01T00:00:02Z"]
    assert set(got(at=times)) == {"/at/1"}
    assert set(got(at=[*times[::2], times[0]])) == {"/at/2"}
    assert set(got(at=[times[0], times[0]])) == {"/at/1"}


def test_a_list_has_one_to_fifty_times() -> None:
    times = [f"2030-01-01T00:00:{second:02}Z" for second in range(51)]
    assert len(requested(at=times[:50]).spec.at) == 50
    assert got(at=times) == {"/at": "an array"}
    assert got(at=[]) == {"/at": "an array"}
    assert set(got(at=[times[0], "tomorrow"])) == {"/at/1"}


def test_a_schedule_that_never_has_a_tick_is_refused() -> None:
    bounds = {"starts_at": "2030-01-01T00:00:01Z", "ends_at": "2030-01-01T23:00:00Z"}
    assert got(cron="@daily", **bounds) == {"/cron": "none"}
    assert got(every="P1D", **bounds) == {"/every": "none"}
    assert got(at=["2030-01-02T00:00:00Z"], **bounds) == {"/at": "none"}
    in_gap = {"cron": "30 2 29 3 *", "zone": "Europe/Berlin", "gap": "skip"}
    only_2026 = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}
    assert got(**in_gap, **only_2026) == {"/cron": "none"}
    assert requested(**in_gap).spec.gap is Gap.SKIP


def test_it_ends_after_it_starts() -> None:
    same = "2030-01-01T00:00:00Z"
    assert set(got(cron="@hourly", starts_at=same, ends_at=same)) == {"/ends_at"}


def test_jitter_is_less_than_the_shortest_distance_of_ticks() -> None:
    assert requested(cron="*/5 * * * *", jitter_s=299.9).spec.jitter_s == 299.9
    assert got(cron="*/5 * * * *", jitter_s=300) == {"/jitter_s": "300"}
    assert got(every="PT1H", jitter_s=3600) == {"/jitter_s": "3,600"}
    times = ["2030-01-01T00:00:00Z", "2030-01-01T01:00:00Z", "2030-01-01T01:01:00Z"]
    assert got(at=times, jitter_s=60) == {"/jitter_s": "60"}
    assert requested(at=times[:1], jitter_s=86_400).spec.jitter_s == 86_400
    assert got(cron="@yearly", jitter_s=86_401) == {"/jitter_s": "the number 86401"}
    assert set(got(cron="@yearly", jitter_s=-1)) == {"/jitter_s"}


def test_only_intervals_have_an_anchor() -> None:
    assert got(cron="@daily", anchor="2030-01-01T00:00:00Z") == {"/anchor": "one"}


@pytest.mark.parametrize("name", ["run_at", "delay_s", "expires_at", "idempotency_key"])
def test_a_template_leaves_to_the_schedule_what_is_the_schedules(name: str) -> None:
    values = {
        "run_at": "2030-01-01T00:00:00Z",
        "delay_s": 5,
        "expires_at": "2030-01-01T00:00:00Z",
        "idempotency_key": "k",
    }
    assert got(cron="@daily", task={**TASK, name: values[name]}) == {f"/task/{name}": "one"}
    assert requested(cron="@daily", task={**TASK, name: None}).draft.name == TASK["name"]


def test_a_template_is_checked_as_the_task_that_it_makes() -> None:
    task = {"name": "", "queue": "Not A Queue", "colour": "red", "run_at": "2030-01-01T00:00:00Z"}
    found = got(task=task, cron="@daily", most=0, zone="Europe/Moskow")
    assert set(found) == {"/most", "/task/name", "/task/queue", "/task/colour", "/task/run_at"}
    assert set(got(task=task, cron="61 * * * *")) == {
        *("/cron", "/task/name", "/task/queue", "/task/colour", "/task/run_at"),
    }


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_is_an_object(body: object) -> None:
    assert refused(body)[""][0] == "an object"


def test_a_template_is_needed_and_is_an_object() -> None:
    assert refused({"cron": "@daily"})["/task"] == ("an object: the body of POST /tasks", "nothing")
    assert got(cron="@daily", task=[]) == {"/task": "an array"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gap", "fill"),
        ("fold", "twice"),
        ("catch_up", "some"),
        ("overlap", "queue"),
        ("within", "P32D"),
        ("within", 5),
        ("most", 1001),
        ("most", True),
        ("every", "P1M"),
        ("starts_at", "2030-01-01T00:00:00"),
        ("colour", "red"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(name: str, value: object) -> None:
    assert set(got(**{"cron": "@daily", name: value})) >= {f"/{name}"}


@pytest.mark.parametrize(
    "hostile",
    [
        {"cron": "0 0 29 2 */7", "jitter_s": 1},
        {"cron": "0 0 */30 * MON#2"},
        {"cron": "* * * * * *", "ends_at": "2100-12-31T00:00:00Z"},
        {"cron": "0 0 29 2 */7", "starts_at": "2072-03-01T00:00:00Z", "zone": "Asia/Gaza"},
        {"cron": ",".join(["*"] * 240) + " * * * *"},
        {"cron": "*/" + "9" * 480 + " * * * *"},
        {"every": "PT1S", "anchor": "2000-01-01T00:00:00Z"},
        {"every": "P999999W"},
        {"zone": "E" * 64, "cron": "@daily"},
        {"cron": "0 0 1 1 *", "gap": "skip", "zone": "Africa/Casablanca", "jitter_s": 86_399},
    ],
)
def test_no_request_costs_much(hostile: dict[str, object]) -> None:
    began = time.process_time()
    with suppress(InvalidInput):
        requested(**hostile)
    assert time.process_time() - began < 0.5
