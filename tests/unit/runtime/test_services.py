"""Starting and stopping services, duties that repeat, and signals."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from taskmill.observability.metrics import DUTY_ROUNDS, LOOP_LAG
from taskmill.runtime.loop_lag import LoopLag
from taskmill.runtime.periodic import Periodic, backoff_s, pause
from taskmill.runtime.services import Service, ServiceEnded, run_services
from taskmill.runtime.signals import stop_on_signal
from tests.support.polling import eventually

SOURCE = Path(__file__).resolve().parents[3] / "src"


class Recorder:
    """A service that reports what happens to it; `stubborn` ones do not end by themselves."""

    def __init__(self, name: str, reports: list[str], *, stubborn: bool = False) -> None:
        self.name = name
        self._reports = reports
        self._stubborn = stubborn
        self.fails_with: Exception | None = None
        self.ends_early = False

    async def run(self, stop: asyncio.Event) -> None:
        self._reports.append(f"{self.name} runs")
        if self.fails_with is not None:
            raise self.fails_with
        if self.ends_early:
            return
        try:
            await stop.wait()
            self._reports.append(f"{self.name} stops")
            if self._stubborn:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._reports.append(f"{self.name} is cancelled")
            raise


def an_event_that_is_set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_services_start_in_order_and_stop_in_the_opposite_one() -> None:
    reports: list[str] = []
    services = [Recorder(name, reports) for name in "abc"]
    await run_services(services, an_event_that_is_set(), grace_s=5)
    assert reports == ["a runs", "b runs", "c runs", "c stops", "b stops", "a stops"]


async def test_a_service_that_does_not_end_is_cancelled_after_its_grace_time() -> None:
    reports: list[str] = []
    services = [Recorder("a", reports), Recorder("b", reports, stubborn=True)]
    await run_services(services, an_event_that_is_set(), grace_s=0.02)
    assert reports[2:] == ["b stops", "b is cancelled", "a stops"]


async def test_a_service_that_fails_ends_the_others_and_is_reported() -> None:
    reports: list[str] = []
    good, bad = Recorder("good", reports), Recorder("bad", reports)
    bad.fails_with = ValueError("no disk")
    with pytest.raises(ExceptionGroup) as failed:
        await run_services([good, bad], asyncio.Event(), grace_s=5)
    assert [str(error) for error in failed.value.exceptions] == ["no disk"]
    assert reports[-1] == "good is cancelled"


async def test_a_service_that_ends_without_a_stop_is_a_failure() -> None:
    reports: list[str] = []
    good, short = Recorder("good", reports), Recorder("short", reports)
    short.ends_early = True
    with pytest.raises(ExceptionGroup) as failed:
        await run_services([good, short], asyncio.Event(), grace_s=5)
    assert [type(error) for error in failed.value.exceptions] == [ServiceEnded]


class Lost:
    """A service that a library's error ends which looks as if it had been cancelled."""

    name = "lost"

    async def run(self, stop: asyncio.Event) -> None:
        assert not stop.is_set()
        lost = asyncio.get_running_loop().create_future()
        lost.set_exception(asyncio.CancelledError())
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            await lost


async def test_a_service_that_nobody_cancelled_does_not_end_unnoticed() -> None:
    reports: list[str] = []
    services: list[Service] = [Recorder("good", reports), Lost()]
    with pytest.raises(ExceptionGroup) as failed:
        await run_services(services, asyncio.Event(), grace_s=5)
    assert [str(error) for error in failed.value.exceptions] == ["lost was cancelled from within"]
    assert "good is cancelled" in reports


class Duty:
    """A duty that follows its script, then stops the service; "more" is more to do."""

    def __init__(self, *script: str | Exception) -> None:
        self._script = list(script)
        self.stop = asyncio.Event()
        self.done_at: list[float] = []

    async def __call__(self) -> bool:
        self.done_at.append(asyncio.get_running_loop().time())
        step = self._script.pop(0)
        if not self._script:
            self.stop.set()
        if isinstance(step, Exception):
            raise step
        return step == "more"

    @property
    def pauses(self) -> list[float]:
        """The times between rounds, in seconds."""
        return [b - a for a, b in pairwise(self.done_at)]


async def test_a_duty_with_more_to_do_goes_on_at_once() -> None:
    duty = Duty("more", "more", "done", "done")
    await Periodic("duty", duty, interval_s=0.05).run(duty.stop)
    assert max(duty.pauses[:2]) < 0.04
    assert duty.pauses[2] >= 0.045


async def test_a_duty_that_is_woken_goes_on_at_once_and_a_stop_ends_its_pause() -> None:
    rounds, stop = asyncio.Queue[None](), asyncio.Event()

    async def record() -> None:
        rounds.put_nowait(None)

    duty = Periodic("duty", record, interval_s=3600)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(duty.run(stop))
        await rounds.get()
        duty.wake()
        await rounds.get()
        stop.set()


async def test_a_first_round_is_late_or_never_when_the_service_is_stopped_before() -> None:
    duty = Duty("done", "done")
    begun_at = asyncio.get_running_loop().time()
    await Periodic("duty", duty, interval_s=0.01, first_after_s=0.3).run(duty.stop)
    assert duty.done_at[0] - begun_at >= 0.29
    assert duty.pauses[0] < 0.25
    unused = Duty("done")
    unused.stop.set()
    async with asyncio.timeout(10):
        await Periodic("duty", unused, interval_s=0.01, first_after_s=3600).run(unused.stop)
    assert unused.done_at == []


async def test_a_failing_duty_is_repeated_with_backoff_and_then_as_usual() -> None:
    trouble = OSError("away")
    duty = Duty(trouble, trouble, trouble, "done", "done")
    await Periodic("duty", duty, interval_s=0.02).run(duty.stop)
    assert [
        pause >= least for pause, least in zip(duty.pauses, (0.038, 0.078, 0.158), strict=False)
    ]
    assert duty.pauses[0] < duty.pauses[1] < duty.pauses[2]
    assert duty.pauses[3] < duty.pauses[2]


async def test_a_failing_duty_never_pauses_for_longer_than_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused: list[float] = []

    async def record(_: asyncio.Event, seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("taskmill.runtime.periodic.pause", record)
    duty = Duty(*[OSError("away")] * 2000)
    await Periodic("duty", duty, interval_s=1).run(duty.stop)
    assert paused[:5] == [2, 4, 8, 16, 30]
    assert max(paused) == 30


@pytest.mark.parametrize(
    ("longest_s", "pauses"), [(None, [120, 240, 480, 480]), (5, [60, 60, 60, 60])]
)
async def test_a_slow_duty_that_fails_never_comes_sooner_than_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch, longest_s: float | None, pauses: list[float]
) -> None:
    paused: list[float] = []

    async def record(_: asyncio.Event, seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("taskmill.runtime.periodic.pause", record)
    duty = Duty(*[OSError("away")] * 5)
    await Periodic("duty", duty, interval_s=60, longest_s=longest_s).run(duty.stop)
    assert paused[:4] == pauses


def test_a_backoff_doubles_up_to_its_longest_however_many_failures_there_are() -> None:
    pauses = [backoff_s(failures, first=0.1, longest=5) for failures in (0, 1, 5, 6, 2_000)]
    assert pauses == [0.1, 0.2, 3.2, 5, 5]


async def test_a_stop_ends_a_pause() -> None:
    async with asyncio.timeout(5):
        await pause(an_event_that_is_set(), 60)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(pause(stop, 60))
            await asyncio.sleep(0)
            stop.set()


async def test_a_pause_lasts_as_long_as_requested() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pause(asyncio.Event(), 0.05)
    assert 0.045 <= loop.time() - began < 2


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """Restore the signal handlers, which stay changed after a stop."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_before")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_sets_the_event(number: signal.Signals) -> None:
    with stop_on_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()


@pytest.mark.usefixtures("signals_as_before")
async def test_an_interrupt_counts_even_where_it_was_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(5):
            await stop.wait()


@pytest.mark.usefixtures("signals_as_before")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_signal_to_a_child_that_is_not_yet_a_program_is_not_ours(
    run: Callable[..., None],
) -> None:
    async def start_and_wait() -> None:
        with stop_on_signal() as stop:
            subprocess.run(  # noqa: ASYNC221 - the signal arrives meanwhile
                [sys.executable, "-c", ""],
                check=False,
                preexec_fn=lambda: os.kill(os.getpid(), signal.SIGINT),
            )
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            async with asyncio.timeout(5):
                await stop.wait()

    run(start_and_wait())


@pytest.mark.parametrize(
    ("second", "status"),
    [(signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, 0), (signal.SIGHUP, 0)],
)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_only_a_ctrl_c_that_is_not_the_first_signal_ends_the_process_at_once(
    first: signal.Signals, second: signal.Signals, status: int
) -> None:
    code = f"""
import asyncio, os, signal
from taskmill.runtime.signals import stop_on_signal
async def main():
    signalled = asyncio.Event()
    with stop_on_signal() as stop:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signalled.set)
        for number in ({first:d}, {second:d}, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        await stop.wait()
        await signalled.wait()
asyncio.run(main())
"""
    assert status_of(code) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_cut_short_what_comes_after_the_stop(
    number: signal.Signals,
) -> None:
    code = f"""
import asyncio, os
from taskmill.runtime.signals import stop_on_signal
async def main():
    with stop_on_signal() as stop:
        os.kill(os.getpid(), {number:d})
        await stop.wait()
asyncio.run(main())
os.kill(os.getpid(), {number:d})
"""
    assert status_of(code) == 0


def status_of(code: str) -> int:
    """Run a program; return its exit status."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},  # noqa: TID251 - the child's, plus ours
        capture_output=True,
        check=False,
        timeout=20,
    )
    return done.returncode


async def test_rounds_of_duties_are_counted_by_how_they_ended() -> None:
    stop, rounds = asyncio.Event(), 0

    async def fails_first() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise RuntimeError("first")
        stop.set()

    before = [DUTY_ROUNDS.value("counted", outcome) for outcome in ("failed", "done")]
    await Periodic("counted", fails_first, interval_s=0.001).run(stop)
    after = [DUTY_ROUNDS.value("counted", outcome) for outcome in ("failed", "done")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]


async def test_a_blocked_loop_is_seen_as_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.runtime.loop_lag._INTERVAL_S", 0.01)
    before = LOOP_LAG.count()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(LoopLag().run(stop))
        await asyncio.sleep(0)
        threading.Event().wait(0.2)  # blocks the loop, as a handler that computes does

        async def has_fired() -> bool:
            return LOOP_LAG.count() > before

        await eventually(has_fired, "the timer of the loop")
        stop.set()
    [family] = LOOP_LAG.collect()
    slow = [s.value for s in family.samples if s.labels.get("le") in {"0.1", "+Inf"}]
    assert slow[1] - slow[0] >= 1
