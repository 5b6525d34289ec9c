"""Running handlers directly in tests of programs."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taskmill import Context, PermanentFailure, RetryLater, ScheduledTick, Taskmill
from taskmill.testing import Line, attempt, attempt_async

app = Taskmill()


@app.task("doubles")
def doubles(n: int, context: Context) -> int:
    context.logger.info("doubling", n=n)
    context.progress(0.5, "half")
    return 2 * n


@app.task("later")
async def later(context: Context) -> str:
    await asyncio.sleep(0)
    if context.attempt == 1:
        raise RetryLater("not now", after=timedelta(seconds=5))
    return "now"


@app.task("fails")
def fails(how: str) -> None:
    if how == "for good":
        raise PermanentFailure(how)
    raise ValueError(how)


@app.task("stops-early", isolation="process")
def stops_early(context: Context) -> None:
    context.raise_if_cancelled()


@app.task("covers")
def covers(context: Context) -> list[str]:
    tick = context.schedule
    if tick is None:
        return []
    return [tick.name, str(tick.previous_tick), str(tick.tick), str(tick.is_catch_up)]


def test_a_handler_gets_the_tick_that_the_test_gives_it() -> None:
    noon = datetime(2031, 1, 31, 12, tzinfo=UTC)
    assert attempt(covers).result == []
    given = ScheduledTick(name="nightly", tick=noon, is_catch_up=True)
    assert attempt(covers, schedule=given).result == ["nightly", "None", str(noon), "True"]


async def test_an_async_test_may_give_one_too() -> None:
    given = ScheduledTick(name="nightly", tick=datetime(2031, 1, 31, tzinfo=UTC))
    assert (await attempt_async(covers, schedule=given)).result[0] == "nightly"


def test_what_a_handler_does_is_recorded() -> None:
    ended = attempt(doubles, n=4)
    assert (ended.succeeded, ended.result, ended.error) == (True, 8, None)
    assert ended.progress == [(0.5, "half")]
    assert ended.lines == [Line("info", "doubling", {"n": 4})]


def test_an_invalid_payload_is_refused_as_in_a_worker() -> None:
    ended = attempt(doubles, {"n": "many"})
    assert ended.error is not None
    assert ended.error.type == "PayloadRefused"
    assert not ended.succeeded


def test_an_async_one_runs_with_the_given_attempt() -> None:
    first, second = attempt(later), attempt(later, number=2)
    assert first.retry_after == timedelta(seconds=5)
    assert second.result == "now"
    assert second.retry_after is None


async def test_it_runs_in_an_existing_loop() -> None:
    assert (await attempt_async(later, number=2)).result == "now"
    assert (await attempt_async(doubles, n=1)).result == 2


def test_the_result_of_one_that_failed_is_what_it_raised() -> None:
    ended = attempt(fails, how="odd")
    with pytest.raises(AssertionError, match="did not return") as refusal:
        _ = ended.result
    assert isinstance(refusal.value.__cause__, ValueError)
    assert type(attempt(fails, how="for good").outcome).__name__ == "Permanent"


def test_a_requested_cancel_reaches_the_handler() -> None:
    assert attempt(stops_early).succeeded
    error = attempt(stops_early, is_cancelled=True).error
    assert error is not None
    assert error.type == "Stopped"


@app.task("numbers")
def numbers(number: int, context: Context) -> list[int]:
    return [number, context.attempt]


async def test_a_field_with_the_name_of_an_option_is_given_in_the_payload() -> None:
    assert attempt(numbers, {"number": 7}, number=2).result == [7, 2]
    assert attempt(numbers, {"number": 7}).result == [7, 1]
    with pytest.raises(TypeError, match=r'as in attempt\(numbers, {"number": …}\)'):
        attempt(numbers, number=7)
    with pytest.raises(TypeError, match="number may be a field of numbers"):
        await attempt_async(numbers, number=7)
