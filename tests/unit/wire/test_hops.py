"""The count of requests and tasks that follow from each other."""

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.task import TaskDraft
from taskmill.wire.hops import count_hop, hop_headers, hop_in, hop_of
from taskmill.wire.rules import InputLimits
from taskmill.wire.tasks import to_draft


@pytest.mark.parametrize(
    ("labels", "hop"),
    [
        ("{}", 0),
        ('{"team": "taskmill.hop"}', 0),
        ('{"taskmill.hop": "3"}', 3),
        ('{"a":"b","taskmill.hop":"12"}', 12),
        ('{"taskmill.hop": ""}', 0),
        ('{"taskmill.hop": "-1"}', 0),
        ('{"taskmill.hop": "three"}', 0),
        ('{"taskmill.hop": "٣"}', 0),
        ('{"taskmill.hop": "9999999999"}', 0),
    ],
)
def test_a_request_counts_one_more_than_its_task(labels: str, hop: int) -> None:
    assert hop_of(labels) == hop
    assert hop_headers(labels) == {"Taskmill-Hop": str(hop + 1)}


def test_a_header_up_to_the_limit_is_taken() -> None:
    assert hop_in([], 5) == 0
    assert [hop_in([b"%d" % count], 5) for count in range(6)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([b"6"], "at most 5 .TASKMILL_LIMITS__HOPS.: .* in a loop"),
        ([b"999999999"], "in a loop"),
        ([b"-1"], "a whole number from 0 to 5"),
        ([b""], "a whole number"),
        ([b"1, 2"], "a whole number"),
        ([b"1", b"2"], "got .*2 of them"),
        ([b"\xff"], "a whole number"),
        ([b"9" * 5000], "a whole number"),
    ],
)
def test_any_other_header_is_refused(sent: list[bytes], words: str) -> None:
    with pytest.raises(InvalidInput, match=f"^header:Taskmill-Hop: .*{words}"):
        hop_in(sent, 5)


def test_a_task_keeps_the_count_beside_its_labels() -> None:
    draft = TaskDraft(name="x", labels='{"team":"a","taskmill.hop":"1"}')
    count_hop(draft, 4)
    assert draft.labels == '{"team":"a","taskmill.hop":"4"}'
    plain = TaskDraft(name="x")
    count_hop(plain, 0)
    assert plain.labels == "{}"


@pytest.mark.parametrize(("value", "is_taken"), [("5", True), ("6", False), ("x", False)])
def test_who_creates_a_task_otherwise_may_give_the_count_as_a_label(
    value: str, *, is_taken: bool
) -> None:
    body = {"name": "x", "labels": {"taskmill.hop": value}}
    if is_taken:
        assert hop_of(to_draft(body, source="amqp").labels) == int(value)
        return
    with pytest.raises(InvalidInput, match=r"^/labels/taskmill\.hop: expected"):
        to_draft(body, source="amqp")


def test_the_limit_is_a_setting() -> None:
    body = {"name": "x", "labels": {"taskmill.hop": "6"}}
    assert hop_of(to_draft(body, source="rest", limits=InputLimits(hops=6)).labels) == 6
