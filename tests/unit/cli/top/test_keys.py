"""Reading the bytes of a terminal as keys."""

import pytest

from taskmill.cli.top.keys import Key, Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q?/", ["q", "?", "/"]),
        (b"\x1b[A\x1bOB", [Key.UP, Key.DOWN]),
        (b"\x1b[5~\x1b[6~", [Key.PAGE_UP, Key.PAGE_DOWN]),
        (b"\t\x1b[Z\r\n\x7f", [Key.TAB, Key.BACK_TAB, Key.ENTER, Key.ENTER, Key.BACKSPACE]),
        (b"\x1bq", [Key.ESCAPE, "q"]),
        (b"\x1b[1;5Cx", ["x"]),
        ("п👍".encode(), ["п", "👍"]),
        (b"\x01\x00\xff", ["\ufffd"]),
        (b"\x1b[" + b"1" * 50, ["1"] * 36),
    ],
)
def test_keys_are_read_from_their_bytes_even_in_pieces(data: bytes, keys: list[Key | str]) -> None:
    assert Keys().add(data) == keys
    one_by_one = Keys()
    assert [key for byte in data for key in one_by_one.add(bytes([byte]))] == keys


def test_an_escape_that_nothing_follows_is_the_key() -> None:
    keys = Keys()
    assert keys.add(b"\x1b") == []
    assert keys.is_waiting()
    assert keys.give_up() == [Key.ESCAPE]
    assert not keys.is_waiting()


def test_a_sequence_that_does_not_end_is_dropped() -> None:
    keys = Keys()
    assert keys.add(b"\x1b[1") == []
    assert keys.give_up() == []
    assert keys.add(b"q") == ["q"]
