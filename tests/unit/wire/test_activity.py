"""The JSON of recent activity."""

import json
from datetime import UTC, datetime, timedelta

from taskmill.domain.activity import Activity, ActivityRequest, Durations, Flow, Window
from taskmill.domain.lifecycle import EventType
from taskmill.wire.activity import ActivityView, activity_fields
from taskmill.wire.encoding import encode_json

SINCE = datetime(2030, 1, 31, 9, tzinfo=UTC)
FLOW = Flow(
    counts={EventType.CLAIMED: 3, EventType.SUCCEEDED: 2},
    waiting=Durations(seconds=0.3, buckets={20: 2, 30: 1}),
)


def shown(**parts: object) -> bytes:
    fields = {
        "request": ActivityRequest(window=Window.MINUTES_5, queue="mail"),
        "since": SINCE,
        "until": SINCE + timedelta(seconds=300),
        "total": Flow.total([FLOW, FLOW]),
        "groups": {("mail", "a"): FLOW, ("mail", "b"): FLOW},
        "points": [(SINCE, FLOW), (SINCE + timedelta(minutes=1), Flow())],
    }
    return encode_json(activity_fields(Activity(**{**fields, **parts})))  # type: ignore[arg-type]


def test_the_json_has_the_shape_of_its_model() -> None:
    view = ActivityView.model_validate_json(shown())
    assert view.model_dump_json().encode() == shown()


def test_types_add_up_to_their_queue_and_rates_are_by_second() -> None:
    [queue] = json.loads(shown())["queues"]
    assert [type_["type"] for type_ in queue["types"]] == ["a", "b"]
    assert (queue["counts"]["claimed"], queue["per_second"]["claimed"]) == (6, 0.02)
    assert (queue["waiting"]["tasks"], queue["waiting"]["mean_s"]) == (6, 0.1)
    assert (queue["waiting"]["p50_s"], queue["waiting"]["p99_s"]) == (0.0494, 0.365)


def test_where_nothing_happened_counts_are_zeros_and_times_null() -> None:
    empty = json.loads(shown(total=Flow(), groups={}, points=[]))
    assert set(empty["total"]["counts"].values()) == {0}
    assert empty["total"]["running"] == {
        "tasks": 0,
        "mean_s": None,
        "p50_s": None,
        "p95_s": None,
        "p99_s": None,
    }
    assert empty["queues"] == []
