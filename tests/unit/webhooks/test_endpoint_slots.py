"""How delivery slots are shared among endpoints."""

from taskmill.webhooks.endpoint_slots import EndpointSlots


def begun(endpoints: EndpointSlots, due: list[str], now: float = 0.0) -> dict[str, int]:
    shares = dict(endpoints.shares(due, now))
    for endpoint, tries in shares.items():
        for _ in range(tries):
            endpoints.begin(endpoint)
    return shares


def made_quick(endpoints: EndpointSlots, *names: str) -> None:
    for name in names:
        for _ in range(4):
            endpoints.begin(name)
            endpoints.record_response(name, 0, after_s=0.01)


def test_an_unknown_endpoint_begins_with_one_delivery_and_a_quick_one_gets_more() -> None:
    endpoints = EndpointSlots(100, per_endpoint=8)
    limits = []
    for _ in range(5):
        tries = begun(endpoints, ["a"])["a"]
        limits.append(tries)
        for _ in range(tries):
            endpoints.record_response("a", 0, after_s=0.01)
    assert limits == [1, 2, 8, 8, 8]


def test_an_endpoint_that_is_slow_gets_half_of_what_a_quick_one_does() -> None:
    """With one at a time, one that takes 2 s would lose whatever comes more often."""
    endpoints = EndpointSlots(100, per_endpoint=8)
    limits = []
    for _ in range(5):
        tries = begun(endpoints, ["a"])["a"]
        limits.append(tries)
        for _ in range(tries):
            endpoints.record_response("a", 0, after_s=2)
    assert limits == [1, 2, 4, 4, 4]


def test_a_slow_response_takes_a_quick_endpoint_back_to_half() -> None:
    endpoints = EndpointSlots(100, per_endpoint=8)
    made_quick(endpoints, "a")
    endpoints.begin("a")
    endpoints.record_response("a", 0, after_s=3)
    assert begun(endpoints, ["a"]) == {"a": 4}
    assert begun(EndpointSlots(100, per_endpoint=1), ["a"]) == {"a": 1}


def test_endpoints_that_are_not_quick_have_half_of_all_slots() -> None:
    endpoints = EndpointSlots(10, per_endpoint=8)
    made_quick(endpoints, "quick")
    slow = [f"slow{number}" for number in range(20)]
    assert len(begun(endpoints, slow)) == 5
    assert begun(endpoints, [*slow, "quick"]) == {"quick": 1}
    assert begun(endpoints, ["quick"]) == {"quick": 4}
    assert endpoints.is_full
    assert begun(endpoints, ["quick", "another"]) == {}


def test_due_endpoints_share_the_free_slots() -> None:
    endpoints = EndpointSlots(12, per_endpoint=8)
    made_quick(endpoints, "a", "b", "c")
    assert begun(endpoints, ["a", "b", "c"]) == {"a": 4, "b": 4, "c": 4}


def test_an_endpoint_that_does_not_respond_is_paused_for_longer_each_time() -> None:
    endpoints = EndpointSlots(10, per_endpoint=8)
    now, pauses = 0.0, []
    for _ in range(8):
        assert begun(endpoints, ["a"], now) == {"a": 1}
        endpoints.record_failure("a", now)
        began = now
        while not endpoints.shares(["a"], now):
            now += 0.5
        pauses.append(now - began)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    endpoints.begin("a")
    endpoints.record_response("a", now, after_s=0.1)
    endpoints.begin("a")
    endpoints.record_failure("a", now)
    assert endpoints.shares(["a"], now + 1), (
        "it starts again at one second once there was a response"
    )


def test_failures_at_the_same_time_count_once() -> None:
    endpoints = EndpointSlots(10, per_endpoint=8)
    made_quick(endpoints, "a")
    assert begun(endpoints, ["a"]) == {"a": 8}
    for _ in range(8):
        endpoints.record_failure("a", 0)
    assert endpoints.under_way == 0
    assert endpoints.shares(["a"], 1.0)


def test_an_endpoint_that_asks_for_a_pause_gets_it() -> None:
    endpoints = EndpointSlots(10, per_endpoint=8)
    endpoints.begin("a")
    endpoints.record_response("a", 0, after_s=0.1, pause_s=30)
    assert endpoints.shares(["a"], 29) == []
    assert endpoints.shares(["a"], 30)


def test_the_count_is_right_whatever_endpoints_become_meanwhile() -> None:
    endpoints = EndpointSlots(10, per_endpoint=8)
    made_quick(endpoints, "a")
    begun(endpoints, ["a"])
    endpoints.record_response("a", 0, after_s=5)
    endpoints.record_failure("a", 0)
    endpoints.release("a")
    for _ in range(5):
        endpoints.record_response("a", 0, after_s=0.01)
    assert endpoints.under_way == 0
    assert len(begun(endpoints, [f"slow{number}" for number in range(20)])) == 5
