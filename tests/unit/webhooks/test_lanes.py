"""How tries are shared among endpoints."""

from taskmill.webhooks.lanes import Lanes


def begun(lanes: Lanes, due: list[str], now: float = 0.0) -> dict[str, int]:
    shares = dict(lanes.shares(due, now))
    for lane, tries in shares.items():
        for _ in range(tries):
            lanes.begin(lane)
    return shares


def made_quick(lanes: Lanes, *names: str) -> None:
    for name in names:
        for _ in range(4):
            lanes.begin(name)
            lanes.answered(name, 0, after_s=0.01)


def test_an_unknown_endpoint_begins_with_one_try_and_a_quick_one_gets_more() -> None:
    lanes = Lanes(100, per_lane=8)
    rooms = []
    for _ in range(5):
        tries = begun(lanes, ["a"])["a"]
        rooms.append(tries)
        for _ in range(tries):
            lanes.answered("a", 0, after_s=0.01)
    assert rooms == [1, 2, 8, 8, 8]


def test_an_endpoint_that_is_slow_gets_half_of_what_a_quick_one_does() -> None:
    """With one at a time, one that takes 2 s would lose whatever comes more often."""
    lanes = Lanes(100, per_lane=8)
    rooms = []
    for _ in range(5):
        tries = begun(lanes, ["a"])["a"]
        rooms.append(tries)
        for _ in range(tries):
            lanes.answered("a", 0, after_s=2)
    assert rooms == [1, 2, 4, 4, 4]


def test_a_slow_answer_takes_a_quick_endpoint_back_to_half() -> None:
    lanes = Lanes(100, per_lane=8)
    made_quick(lanes, "a")
    lanes.begin("a")
    lanes.answered("a", 0, after_s=3)
    assert begun(lanes, ["a"]) == {"a": 4}
    assert begun(Lanes(100, per_lane=1), ["a"]) == {"a": 1}


def test_endpoints_that_are_not_quick_have_half_of_all_tries() -> None:
    lanes = Lanes(10, per_lane=8)
    made_quick(lanes, "quick")
    slow = [f"slow{number}" for number in range(20)]
    assert len(begun(lanes, slow)) == 5
    assert begun(lanes, [*slow, "quick"]) == {"quick": 1}
    assert begun(lanes, ["quick"]) == {"quick": 4}
    assert lanes.is_full
    assert begun(lanes, ["quick", "another"]) == {}


def test_those_that_are_due_share_what_is_free() -> None:
    lanes = Lanes(12, per_lane=8)
    made_quick(lanes, "a", "b", "c")
    assert begun(lanes, ["a", "b", "c"]) == {"a": 4, "b": 4, "c": 4}


def test_one_that_is_silent_rests_for_longer_each_time() -> None:
    lanes = Lanes(10, per_lane=8)
    now, rests = 0.0, []
    for _ in range(8):
        assert begun(lanes, ["a"], now) == {"a": 1}
        lanes.silent("a", now)
        began = now
        while not lanes.shares(["a"], now):
            now += 0.5
        rests.append(now - began)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    lanes.begin("a")
    lanes.answered("a", now, after_s=0.1)
    lanes.begin("a")
    lanes.silent("a", now)
    assert lanes.shares(["a"], now + 1), "it begins anew once it has answered"


def test_silence_at_the_same_time_counts_once() -> None:
    lanes = Lanes(10, per_lane=8)
    made_quick(lanes, "a")
    assert begun(lanes, ["a"]) == {"a": 8}
    for _ in range(8):
        lanes.silent("a", 0)
    assert lanes.under_way == 0
    assert lanes.shares(["a"], 1.0)


def test_one_that_asks_for_a_rest_gets_it() -> None:
    lanes = Lanes(10, per_lane=8)
    lanes.begin("a")
    lanes.answered("a", 0, after_s=0.1, rest_s=30)
    assert lanes.shares(["a"], 29) == []
    assert lanes.shares(["a"], 30)


def test_the_count_is_right_whatever_endpoints_become_meanwhile() -> None:
    lanes = Lanes(10, per_lane=8)
    made_quick(lanes, "a")
    begun(lanes, ["a"])
    lanes.answered("a", 0, after_s=5)
    lanes.silent("a", 0)
    lanes.dropped("a")
    for _ in range(5):
        lanes.answered("a", 0, after_s=0.01)
    assert lanes.under_way == 0
    assert len(begun(lanes, [f"slow{number}" for number in range(20)])) == 5
