"""Reading creation messages: how a file is divided, and what is refused before anything is sent."""

import pytest

from taskmill.cli.message_file import NotJson, read_message_file


def bodies(content: bytes) -> list[bytes]:
    return [message.body for message in read_message_file(content)]


def test_an_object_is_one_message_however_it_is_laid_out() -> None:
    assert bodies(b' {\n  "name": "a"\n}\n') == [b'{\n  "name": "a"\n}']


def test_each_line_is_a_message_under_the_number_of_its_line() -> None:
    messages = read_message_file(b'{"name": "a"}\r\n\n{"name":"b"}')
    assert [(m.number, m.body) for m in messages] == [(1, b'{"name": "a"}'), (3, b'{"name":"b"}')]


def test_items_of_an_array_go_out_as_they_were_written() -> None:
    content = b'[ {"n": 1.0, "n": 12345678901234567890123} ,\n{"name": "\\u0441"},[ 1 ],"]"]'
    assert bodies(content) == [
        b'{"n": 1.0, "n": 12345678901234567890123}',
        b'{"name": "\\u0441"}',
        b"[ 1 ]",
        b'"]"',
    ]


@pytest.mark.parametrize("content", [b"", b" \n ", b"[]", b" [ ] "])
def test_an_empty_file_has_no_messages(content: bytes) -> None:
    assert bodies(content) == []


def test_the_key_of_a_body_is_the_id_of_its_message_and_others_get_new_ones() -> None:
    lines = b'{"idempotency_key": "k"}\n{"idempotency_key": 7}\n{"idempotency_key": ""}\n{}'
    first, *others = [message.message_id for message in read_message_file(lines)]
    assert first == "k"
    assert len({*others, "k", "7", ""}) == 6


def test_all_lines_that_are_not_json_are_named() -> None:
    with pytest.raises(NotJson) as caught:
        read_message_file(b'{"name": "a"}\n{"name"\n{"name": "b"}\nplain\n')
    faults = str(caught.value).splitlines()
    assert faults[0] == "nothing was published:"
    assert [line.partition(":")[0] for line in faults[1:]] == ["line 2", "line 4"]


def test_many_such_lines_are_only_counted() -> None:
    with pytest.raises(NotJson, match="… and 15 more"):
        read_message_file(b"no\n" * 25)


@pytest.mark.parametrize("content", [b"[1,", b"[1 2]", b'["\xff"]', b"[1] 2", b"[" * 100_000])
def test_a_broken_array_is_refused(content: bytes) -> None:
    with pytest.raises(NotJson, match="nothing was published"):
        read_message_file(content)


def test_a_key_that_is_too_long_for_a_message_id_always_gives_the_same_id() -> None:
    body = '{"name": "a", "idempotency_key": "' + "я" * 200 + '"}'
    [one], [again] = read_message_file(body.encode()), read_message_file(body.encode())
    assert one.message_id == again.message_id
    assert len(one.message_id.encode()) <= 255
