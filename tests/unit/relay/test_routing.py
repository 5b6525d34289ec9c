"""Which changes are published when their keys were returned before or are not known."""

from uuid import UUID

import pytest

from taskmill.amqp.events import Confirm
from taskmill.domain.feed import Change, Cursor
from taskmill.relay.routing import Routes, before
from tests.support.histories import an_event


def a_change(number: int, queue: str) -> Change:
    event = an_event(task_id=UUID(int=number))
    return Change(Cursor(1, number), event, queue, "emulate", "a task", "{}")


def some(queues: str) -> list[Change]:
    return [a_change(number, queue) for number, queue in enumerate(queues, start=1)]


def known(**confirms: Confirm) -> Routes:
    routes = Routes()
    routes.note([a_change(1, queue) for queue in confirms], list(confirms.values()))
    return routes


def test_what_is_not_known_yet_is_published_in_order() -> None:
    changes = some("abab")
    wave = Routes().wave(changes)
    assert (wave.sent, wave.held) == (changes, [])


def test_only_confirms_make_a_key_known() -> None:
    routes = Routes()
    assert not routes.is_taken("task.new.a")
    routes.note(some("abc"), [None, Confirm.ACKED])
    assert [routes.is_taken(f"task.new.{queue}") for queue in "abc"] == [False, True, False]
    changes = some("aabbcc")
    assert routes.wave(changes) == (changes, [])


def test_the_latest_confirm_of_a_key_counts() -> None:
    routes = Routes()
    routes.note(some("aa"), [Confirm.RETURNED, Confirm.ACKED])
    assert routes.is_taken("task.new.a")
    routes.note(some("aa"), [Confirm.ACKED, Confirm.RETURNED])
    assert not routes.is_taken("task.new.a")


def test_when_there_are_too_many_keys_all_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.relay.routing._MOST_KEYS", 2)
    routes = known(a=Confirm.ACKED, b=Confirm.ACKED)
    routes.note(some("c"), [Confirm.ACKED])
    assert routes.is_taken("task.new.a"), "two are not too many"
    routes.note(some("d"), [Confirm.ACKED])
    assert [routes.is_taken(f"task.new.{queue}") for queue in "abcd"] == [False] * 3 + [True]


def test_of_a_returned_key_the_first_is_published_and_the_others_are_held_back() -> None:
    changes = some("abaabb")
    wave = known(a=Confirm.RETURNED, b=Confirm.ACKED).wave(changes)
    assert wave.sent == [changes[i] for i in (0, 1, 4, 5)]
    assert wave.held == [changes[i] for i in (2, 3)]


def test_nothing_is_owed_of_keys_that_are_returned_again() -> None:
    routes = known(a=Confirm.RETURNED)
    wave = routes.wave(some("aaba"))
    confirms = [Confirm.RETURNED, Confirm.ACKED]
    assert routes.owed(wave, confirms) == []


def test_what_was_held_back_is_owed_when_the_first_was_taken() -> None:
    routes, changes = known(a=Confirm.RETURNED, b=Confirm.RETURNED), some("ababa")
    wave = routes.wave(changes)
    routes.note(wave.sent, [Confirm.ACKED, Confirm.RETURNED])
    assert routes.owed(wave, [Confirm.ACKED, Confirm.RETURNED]) == [changes[2], changes[4]]
    assert routes.is_taken("task.new.a")
    assert not routes.is_taken("task.new.b")


def test_what_was_not_confirmed_is_owed_with_all_that_was_held_back_for_it() -> None:
    routes, changes = known(a=Confirm.RETURNED, b=Confirm.ACKED), some("abbaab")
    wave = routes.wave(changes)
    assert wave.sent == [changes[i] for i in (0, 1, 2, 5)]
    for a, expected in ((Confirm.NACKED, [0, 2, 3, 4, 5]), (Confirm.RETURNED, [2, 5])):
        owed = routes.owed(wave, [a, Confirm.ACKED, None])
        assert owed == [changes[i] for i in expected]
    assert routes.owed(wave, []) == changes


def test_a_cursor_before_a_change_has_seen_what_was_before_it() -> None:
    assert before(a_change(1, "a")) == Cursor(1, 0)
    assert before(a_change(7, "a")) == Cursor(1, 6)
