"""The form of hints, and the names of their queues."""

from uuid import UUID

import orjson
import pytest

from taskmill.amqp.names import hint_queue_name
from taskmill.amqp.topology import decode_hint, encode_hint

IDS = [UUID(int=number) for number in (7, 5, 7)]


def test_a_hint_is_a_json_array_of_ids_and_reads_back_as_written() -> None:
    body = encode_hint(IDS)
    assert orjson.loads(body) == [str(task_id) for task_id in IDS]
    assert decode_hint(body) == IDS
    assert decode_hint(b"[]") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"null",
        b"{}",
        b'"01a210d6-0fb8-7000-bc58-f0fde15ef219"',
        b"[1]",
        b"[null]",
        b'["x"]',
        b'["\xff"]',
        b"[" * 10_000,
        encode_hint(IDS)[:-1],
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_hint(body)


def test_a_hint_names_a_thousand_tasks_at_most() -> None:
    assert len(decode_hint(encode_hint([UUID(int=1)] * 1000))) == 1000
    with pytest.raises(ValueError, match="1001"):
        decode_hint(encode_hint([UUID(int=1)] * 1001))


def test_queues_and_types_with_dots_get_names_of_their_own() -> None:
    pairs = [("a.b", "c"), ("a", "b.c"), ("a", "b"), ("a.b.c", "d")]
    assert len({hint_queue_name(*pair) for pair in pairs}) == len(pairs)
    assert hint_queue_name("mail", "send") == "taskmill.hints.mail:send"
