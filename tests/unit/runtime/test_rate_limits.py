"""Token meter: how many requests they let pass, what they say is left, and how much memory they need."""

import pytest

from taskmill.domain.rate_limits import LimitedBy, RateLimitExceeded, RatePolicy, RateUsage
from taskmill.runtime import rate_limits
from taskmill.runtime.rate_limits import RateLimits, RateMeter
from taskmill.settings import RateLimitSettings
from taskmill.wire.rate_limits import rate_limit_headers

A_CLIENT, ANOTHER = "192.0.2.1", "192.0.2.2"


class Time:
    """What the meter take for the time."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


def of_addresses(time: Time, rate: int = 10, burst: int = 20, **settings: object) -> RateLimits:
    values = {"address_rate": rate, "address_burst": burst, **settings}
    return RateLimits(RateLimitSettings.model_validate(values), time)


def accepted(limits: RateLimits, host: str, requests: int = 1000) -> int:
    """How many of so many requests pass now."""
    passed = 0
    for _ in range(requests):
        try:
            limits.take(None, host)
        except RateLimitExceeded:
            continue
        passed += 1
    return passed


@pytest.mark.parametrize(("rate", "burst"), [(10, 20), (3, 1), (5000, 50_000), (10**9, 7)])
def test_exactly_a_burst_passes_at_once(time: Time, rate: int, burst: int) -> None:
    limits = of_addresses(time, rate, burst)
    assert accepted(limits, A_CLIENT, burst + 10) == burst


def test_what_comes_later_passes_at_the_rate(time: Time) -> None:
    limits = of_addresses(time)
    assert accepted(limits, A_CLIENT) == 20
    passed = []
    for _ in range(4):
        time.now_s += 0.5
        passed.append(accepted(limits, A_CLIENT))
    assert passed == [5] * 4
    time.now_s += 1000
    assert accepted(limits, A_CLIENT) == 20, "a pause gives a burst, and no more"


def test_one_client_takes_nothing_from_another(time: Time) -> None:
    limits = of_addresses(time)
    assert accepted(limits, A_CLIENT) == accepted(limits, ANOTHER) == 20


def test_a_refusal_says_when_the_next_request_passes(time: Time) -> None:
    limits = of_addresses(time)
    accepted(limits, A_CLIENT)
    with pytest.raises(RateLimitExceeded) as caught:
        limits.take(None, A_CLIENT)
    assert caught.value.retry_after_s == pytest.approx(0.1)
    time.now_s += caught.value.retry_after_s
    assert limits.take(None, A_CLIENT) is not None


def test_what_is_left_is_reported_from_half_of_a_burst_on(time: Time) -> None:
    limits = of_addresses(time)
    usages = [limits.take(None, A_CLIENT) for _ in range(20)]
    assert usages[:10] == [None] * 10
    assert [usage and usage.left for usage in usages[10:]] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_a_request_that_is_counted_again_costs_one_token(time: Time) -> None:
    limits = of_addresses(time)
    for _ in range(100):
        limits.take(None, A_CLIENT)
        limits.give_back(None, A_CLIENT)
    assert accepted(limits, A_CLIENT) == 20


def test_one_network_of_ipv6_is_one_client(time: Time) -> None:
    limits = of_addresses(time)
    assert accepted(limits, "2001:db8::1") == 20
    assert accepted(limits, "2001:db8::ffff") == 0
    assert accepted(limits, "2001:db8:0:1::1") == 20
    assert accepted(limits, A_CLIENT) == 20
    assert accepted(limits, f"::ffff:{A_CLIENT}") == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_not_limited_unless_set(time: Time, host: str) -> None:
    assert accepted(of_addresses(time), host) == 1000
    assert accepted(of_addresses(time, exempt=()), host) == 20


def test_networks_can_be_exempt(time: Time) -> None:
    limits = of_addresses(time, exempt=("192.0.2.0/31", "2001:db8::/32"))
    assert accepted(limits, A_CLIENT) == accepted(limits, "2001:db8::1") == 1000
    assert accepted(limits, ANOTHER) == 20


def test_zero_is_no_limit(time: Time) -> None:
    assert accepted(of_addresses(time, rate=0), A_CLIENT) == 1000


def test_many_addresses_take_little_memory(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_METERED", 10)
    limits = of_addresses(time)
    for number in range(1000):
        limits.take(None, f"10.0.{number // 250}.{number % 250}")
    assert len(limits._groups) == 10
    assert limits._addresses is not None
    assert len(limits._addresses) == 10


def test_of_too_many_the_one_that_was_idle_for_the_longest_is_forgotten(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MOST_METERED", 3)
    meter = RateMeter(LimitedBy.KEY, 1, 1, time)
    for name in ("busy", "idle", "other"):
        meter.take(name)
    with pytest.raises(RateLimitExceeded):
        meter.take("busy")
    meter.take("new")
    assert meter.take("idle") is not None, "it has a full bucket again"
    with pytest.raises(RateLimitExceeded):
        meter.take("busy")


def test_the_headers_have_whole_seconds() -> None:
    policy = RatePolicy(LimitedBy.KEY, 50_000, 9.5)
    assert rate_limit_headers(RateUsage(policy, 7, 0.01)) == (
        (b"ratelimit-policy", b'"key";q=50000;w=10'),
        (b"ratelimit", b'"key";r=7;t=1'),
    )
