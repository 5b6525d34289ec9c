"""What keys do."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from taskmill.cli.top.app import Top
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import FailureRow, QueueRow
from taskmill.domain.activity import Window
from tests.support.fake_service import FakeService
from tests.support.pictures import a_failure, a_queue, a_snapshot, a_top, a_worker_view, lines
from tests.support.polling import eventually


def of(*names: str) -> Snapshot:
    """A snapshot whose queues are in this order."""
    queues = [a_queue(name, waiting=9 - position) for position, name in enumerate(names or "abc")]
    failures = [a_failure("ä report"), a_failure("other", 2, queue="c")]
    return a_snapshot(queues, [a_worker_view()], failures)


def show(app: Top, snapshot: Snapshot) -> None:
    app.picture.take(snapshot)
    app.draw()


def chosen(app: Top) -> str | None:
    row = app._current.chosen
    if isinstance(row, FailureRow):
        return row.kind
    return row.name if row else None


def headings(app: Top) -> list[str]:
    """The tables on the screen, with their numbers of rows."""
    found = [line.split("  ")[0] for line in lines(app)]
    return [name for name in found if name.split(" ")[0] in {"QUEUES", "WORKERS", "FAILURES"}]


async def pressed(pilot: Pilot[int], *keys: str) -> str:
    """Press keys; returns what is on the screen then."""
    await pilot.press(*keys)
    await pilot.pause()
    assert isinstance(pilot.app, Top)
    return "\n".join(lines(pilot.app))


async def test_a_chosen_row_stays_chosen_wherever_it_goes() -> None:
    async with a_top(of()) as (app, pilot):
        await pressed(pilot, "down")
        for order in ("abc", "bac", "caxb"):
            show(app, of(*order))
            assert chosen(app) == "b"


async def test_the_top_row_is_chosen_until_another_one_is() -> None:
    async with a_top(of()) as (app, _):
        show(app, of("c", "a"))
        assert chosen(app) == "c"


async def test_a_chosen_row_that_goes_is_replaced_by_the_one_in_its_position() -> None:
    async with a_top(of()) as (app, pilot):
        await pressed(pilot, "end")
        show(app, of("a", "b"))
        assert chosen(app) == "b"
        show(app, a_snapshot())
        assert chosen(app) is None
        assert "no queues yet" in await pressed(pilot, "enter")


async def test_arrows_stop_at_the_ends_and_pages_are_as_long_as_what_is_visible() -> None:
    names = [f"q{number:02}" for number in range(40)]
    many = a_snapshot([a_queue(name, waiting=99 - at) for at, name in enumerate(names)])
    async with a_top(many) as (app, pilot):
        assert "QUEUES 1-11 of 40" in await pressed(pilot, "up")
        assert chosen(app) == "q00"
        await pressed(pilot, "pagedown")
        assert chosen(app) == "q11"
        assert "QUEUES 3-13 of 40" in await pressed(pilot, "j")
        await pressed(pilot, *["pagedown"] * 9)
        assert chosen(app) == "q39"
        await pressed(pilot, "k", "pageup")
        assert chosen(app) == "q27"
        await pressed(pilot, "home")
        assert chosen(app) == "q00"


async def test_tab_goes_round_the_tables() -> None:
    async with a_top(of()) as (app, pilot):
        found = []
        for key in ("tab", "right", "tab", "shift+tab", "left"):
            await pressed(pilot, key)
            found.append(app._current.id)
        assert found == ["workers", "failures", "queues", "failures", "workers"]


async def test_enter_opens_what_is_chosen_and_escape_closes_it() -> None:
    async with a_top(of()) as (app, pilot):
        assert "queue b  open" in await pressed(pilot, "down", "enter")
        assert headings(app) == []
        await pressed(pilot, "escape")
        assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]
        assert "worker host-1  alive" in await pressed(pilot, "tab", "enter")
        for key in ("enter", "backspace"):
            await pressed(pilot, key)
            assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]
            await pressed(pilot, "enter")


async def test_what_is_open_follows_the_picture_and_stays_when_it_has_gone() -> None:
    async with a_top(of()) as (app, pilot):
        assert "waiting   9" in await pressed(pilot, "enter")
        for order in ("ba", "b"):
            show(app, of(*order))
            shown = await pressed(pilot)
            assert "queue a" in shown
            assert "waiting   8" in shown


async def test_details_are_scrolled_and_never_above_their_top() -> None:
    message = "\n".join(f"line {number}" for number in range(60))
    async with a_top(a_snapshot(failures=[a_failure(message=message)])) as (_, pilot):
        await pressed(pilot, "left", "enter")
        assert "failed monthly report" in await pressed(pilot, "up")
        assert "failed monthly report" not in await pressed(pilot, "down", "j", "j", "k")
        assert "line 59" in await pressed(pilot, "end")
        assert "line 59" not in await pressed(pilot, "pageup")
        assert "failed monthly report" in await pressed(pilot, "home")
        await pressed(pilot, "end", "escape")
        assert "failed monthly report" in await pressed(pilot, "enter")


async def test_only_queues_are_paused() -> None:
    async with a_top(of()) as (_, pilot):
        shown = await pressed(pilot, "tab", "P")
        assert "choose a queue first" in shown
        assert "y/n" not in shown


async def test_a_filter_is_typed_and_ended() -> None:
    async with a_top(of()) as (app, pilot):
        await pressed(pilot, "/", "q", "x", "backspace", "backspace", *"Ä REP", "up")
        assert headings(app) == ["QUEUES", "WORKERS", "FAILURES"]
        shown = await pressed(pilot, "enter")
        assert "only Ä REP (Esc: all)" in shown
        assert shown.count("nothing fits the filter") == 2
        assert "ä report" in shown
        await pressed(pilot, "escape")
        assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]
        await pressed(pilot, "/", "b", "tab")
        assert headings(app) == ["QUEUES 1", "WORKERS", "FAILURES"]
        await pressed(pilot, "/", "c", "escape")
        assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]


async def test_one_table_is_shown_until_the_key_or_escape() -> None:
    async with a_top(of()) as (app, pilot):
        await pressed(pilot, "z")
        assert headings(app) == ["QUEUES 3"]
        await pressed(pilot, "tab")
        assert headings(app) == ["WORKERS 1"]
        await pressed(pilot, "z")
        assert len(headings(app)) == 3
        await pressed(pilot, "z", "/", "h", "escape")
        assert headings(app) == ["WORKERS 1"]
        await pressed(pilot, "escape")
        assert len(headings(app)) == 3


async def test_the_help_is_closed_by_any_key_and_lists_those_that_do_something() -> None:
    async with a_top(of()) as (app, pilot):
        shown = await pressed(pilot, "?")
        assert "pause the chosen queue" in shown
        await pressed(pilot, "tab")
        assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]
        assert "a  " in await pressed(pilot, "enter", "?", "x")
        assert len(headings(app)) == 3


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        (["q"], 0),
        (["?", "q"], 0),
        (["enter", "q"], 0),
        (["ctrl+c"], 130),
        (["?", "ctrl+c"], 130),
        (["/", "ctrl+c"], 130),
        (["P", "ctrl+c"], 130),
    ],
)
async def test_it_ends_wherever_one_is(keys: list[str], status: int) -> None:
    async with a_top(of()) as (app, pilot):
        await pilot.press(*keys)
    assert app.return_value == status


async def test_letters_are_typed_into_the_filter() -> None:
    async with a_top(of()) as (app, pilot):
        shown = await pressed(pilot, "/", *"qpzP?/")
        assert shown.splitlines()[-1] == "/qpzP?/"
        assert app.return_value is None


async def test_a_frozen_picture_is_read_again_only_when_it_goes_on(
    service: FakeService, url: str
) -> None:
    async with a_top(url=url) as (app, pilot):

        async def is_read() -> bool:
            return bool(service.requests)

        await eventually(is_read, "it is read")
        assert "FROZEN (p goes on)" in await pressed(pilot, "p")
        await pilot.pause(0.3)
        service.requests.clear()
        await pressed(pilot, "r")
        await pilot.pause(0.5)
        assert [one for one in service.requests if "/stats" in one[1]] == []
        assert "FROZEN" not in await pressed(pilot, "p")
        await eventually(is_read, "it is read again")
        assert not app.is_frozen


async def test_a_window_is_chosen_and_read_at_once(service: FakeService, url: str) -> None:
    async with a_top(url=url) as (app, pilot):
        for window in (Window.HOUR, Window.HOURS_6, Window.MINUTES_5):
            await pressed(pilot, "w")

            async def is_read(window: Window = window) -> bool:
                return any(f"window={window}" in one[1] for one in service.requests)

            await eventually(is_read, f"{window} is read")
            assert app.options.window == window
        app.options = replace(app.options, window=Window.MONTH)
        await pressed(pilot, "w")
        assert app.options.window is Window.MINUTES_5


async def test_a_queue_is_paused_only_after_a_yes_and_stays_open(
    service: FakeService, url: str
) -> None:
    service.add(queue="mail")
    async with a_top(url=url) as (app, pilot):

        async def shows(text: str) -> bool:
            await pilot.pause()
            return text in "\n".join(lines(app))

        async def is_there(text: str) -> None:
            await eventually(lambda: shows(text), text)

        await is_there("mail")
        for no in ("n", "enter", "escape", "q", "P", "tab"):
            await pilot.press("P")
            await is_there("pause mail? y/n  its tasks wait then")
            await pilot.press(no)
            await is_there("nothing was changed")
            app.clear_notifications()
        assert service.paused == set()
        await pressed(pilot, "P", "y")
        await is_there("mail is paused")
        assert service.paused == {"mail"}
        await pressed(pilot, "enter")
        await is_there("queue mail  paused")
        await pilot.press("P")
        await is_there("resume mail? y/n  its tasks are handed out then")
        await pressed(pilot, "Y")
        await is_there("mail is open")
        await is_there("queue mail  open")
        assert isinstance(app._opened, QueueRow)
        assert service.paused == set()


async def test_the_activity_of_an_open_queue_is_read(service: FakeService, url: str) -> None:
    service.add(queue="mail")
    async with a_top(url=url) as (app, pilot):

        async def shows(text: str) -> bool:
            await pilot.pause()
            return text in "\n".join(lines(app))

        await eventually(lambda: shows("mail"), "it is there")
        await pressed(pilot, "enter")
        await eventually(lambda: shows("RUN P95"), "its types are there")
        assert any("queue=mail" in one[1] for one in service.requests)


async def test_without_a_service_there_is_only_the_trouble() -> None:
    async with a_top(of()) as (app, pilot):
        assert "no response" not in await pressed(pilot)
        await pressed(pilot, "p")

        async def is_away() -> bool:
            await pilot.pause()
            return "what is shown is old, trying again: no response: " in lines(app)[1]

        await eventually(is_away, "the trouble is shown")
        assert headings(app) == ["QUEUES 3", "WORKERS 1", "FAILURES"]
    async with a_top() as (app, pilot):
        assert "waiting for the first response" in await pressed(pilot)
        await pressed(pilot, "p")

        async def has_none() -> bool:
            await pilot.pause()
            return lines(app)[1].startswith("trying again: no response: ")

        await eventually(has_none, "the trouble is shown")
        assert "waiting for the first" not in await pressed(pilot)
