"""Which trace contexts are valid, by the standard of the W3C."""

import pytest
from hypothesis import given, strategies as st

from taskmill.wire.traceparent import trace_id_of, valid_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_a_context_of_version_00_is_unchanged(flags: str) -> None:
    sent = f"00-{TRACE}-{PARENT}-{flags}"
    assert valid_traceparent(sent) == sent


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (f"01-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"),
        (f"01-{TRACE}-{PARENT}-fe", f"00-{TRACE}-{PARENT}-00"),
        (f"fe-{TRACE}-{PARENT}-09-what-the-future-is-like", f"00-{TRACE}-{PARENT}-01"),
    ],
)
def test_a_later_version_is_reduced_to_version_00(sent: str, stored: str) -> None:
    assert valid_traceparent(sent) == stored


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "rubbish",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"01-{TRACE}-{PARENT}-01more",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"01-{TRACE}-{PARENT}-01-\n",
        f"00-{TRACE[1:]}\u0661-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\x00",
    ],
)
def test_an_invalid_context_counts_as_none(sent: str | None) -> None:
    assert valid_traceparent(sent) is None


@given(st.text())
def test_whatever_comes_nothing_longer_than_a_context_is_returned(sent: str) -> None:
    stored = valid_traceparent(f"01-{TRACE}-{PARENT}-01-{sent}")
    assert stored in {None, f"00-{TRACE}-{PARENT}-01"}


def test_the_id_of_a_trace_is_read_from_valid_contexts_only() -> None:
    assert trace_id_of(f"00-{TRACE}-{PARENT}-01") == TRACE
    assert trace_id_of(f"00-{'0' * 32}-{PARENT}-01") is None
    assert trace_id_of(f"00-{TRACE}") is None
