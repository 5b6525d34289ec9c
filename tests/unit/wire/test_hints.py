"""The form of hints."""

from datetime import UTC, datetime

import orjson
import pytest

from taskmill.wire.hints import Hint, decode_hint, encode_hint

DUE = datetime(2030, 1, 31, 12, 0, 0, 250_000, UTC)


def test_a_hint_is_a_json_array_and_reads_back_as_written() -> None:
    one = Hint(queue="mail", type="send", priority=4, run_at=DUE)
    assert orjson.loads(encode_hint(one)) == ["mail", "send", 4, DUE.timestamp()]
    assert decode_hint(encode_hint(one)) == one
    several = Hint(queue="mail", type="send")
    assert orjson.loads(encode_hint(several)) == ["mail", "send"]
    assert decode_hint(encode_hint(several)) == several
    assert decode_hint('["mail", "send", 4, 0]').run_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"null",
        b"{}",
        b'"mail"',
        b"[]",
        b'["mail"]',
        b'["mail", 1]',
        b'["mail", "send", 4]',
        b'["mail", "send", "4", 0]',
        b'["mail", "send", true, 0]',
        b'["mail", "send", 4, null]',
        b'["mail", "send", 4, 1e300]',
        b'["mail", "send", 4, 0, 0]',
        b'["\xff", "send"]',
        b"[" * 10_000,
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_hint(body)
