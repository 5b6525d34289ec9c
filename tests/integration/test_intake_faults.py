"""Messages that meet a fault in Taskmill: after some attempts they become rejections, and hold up no others."""

import asyncio

import pytest
from aiormq.abc import DeliveredMessage

from taskmill.domain.task import TaskDraft
from taskmill.intake.validating import Validator
from tests.support.api import LogLines
from tests.support.intake import (
    assert_all_acknowledged,
    counted,
    producing,
    taking_in,
    until_counted,
)
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

# An error that PostgreSQL raises whenever a row has this name, and that names no value.
BREAKS_AT = """
CREATE FUNCTION public.break() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000'; END $$
"""
ON_TASKS = """
CREATE TRIGGER break BEFORE INSERT ON taskmill.task
FOR EACH ROW {when} EXECUTE FUNCTION public.break()
"""
ON_REJECTIONS = """
CREATE TRIGGER break BEFORE INSERT ON taskmill.rejection
FOR EACH ROW WHEN (NEW.message_id IS NOT NULL) EXECUTE FUNCTION public.break()
"""


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.intake.amqp._FIRST_PAUSE_S", 0.01)


async def test_a_message_that_can_never_be_stored_is_a_rejection_and_others_go_on(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    await stage.sql.execute(BREAKS_AT)
    await stage.sql.execute(ON_TASKS.format(when="WHEN (NEW.name = 'poison')"))
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            await producer.send({"name": "poison"}, message_id="head")
            for number in range(10):
                name = "poison" if number == 5 else f"task {number}"
                await producer.send({"name": name}, message_id=f"id {number}")
            await until_counted(stage, 9, 2)
            copies = await producer.rejected(2)
            assert {copy.headers["taskmill-status"] for copy in copies} == {500}
        await assert_all_acknowledged(producer)
    assert len(log_lines.named("message.unstorable")) == 2
    await assert_safe(stage.sql)


async def test_while_nothing_can_be_stored_no_message_is_refused(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    await stage.sql.execute(BREAKS_AT)
    await stage.sql.execute(ON_TASKS.format(when=""))
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send({"name": "a"}, message_id="a")

        async def has_tried_often() -> bool:
            return len(log_lines.named("intake.delayed")) > 12

        await eventually(has_tried_often, "it is tried again and again")
        assert await counted(stage) == (0, 0)
        await stage.sql.execute("DROP TRIGGER break ON taskmill.task")
        await until_counted(stage, 1, 0)


async def test_a_rejection_that_can_not_be_stored_as_it_is_keeps_its_body(
    stage: Stage, broker_url: str
) -> None:
    await stage.sql.execute(BREAKS_AT)
    await stage.sql.execute(ON_REJECTIONS)
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            await producer.send(b"rubbish", message_id="rubbish")
            await producer.send(b"others")
            await until_counted(stage, 0, 2)
        await assert_all_acknowledged(producer)
    rejections = await stage.sql.fetch(
        "SELECT body, message_id FROM taskmill.rejection ORDER BY body"
    )
    assert [tuple(row) for row in rejections] == [(b"others", None), (b"rubbish", None)]


async def test_a_message_that_we_trip_over_again_and_again_is_a_rejection(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    read = Validator._read

    def trips(self: Validator, message: DeliveredMessage) -> TaskDraft | Exception:
        if message.body == b'{"name":"poison"}':
            raise KeyError("an internal error")
        return read(self, message)

    monkeypatch.setattr(Validator, "_read", trips)
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            async with asyncio.TaskGroup() as group:
                for name in ("before", "poison", "after"):
                    group.create_task(producer.send({"name": name}, message_id=name))
            await until_counted(stage, 2, 1)
        await assert_all_acknowledged(producer)
    assert 1 <= len(log_lines.named("intake.failed")) <= 4
    await assert_safe(stage.sql)
