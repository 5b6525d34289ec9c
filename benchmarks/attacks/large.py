"""Bodies that take long to read."""

from functools import partial

import orjson

from benchmarks.attacks.attack import Attack, request, status_of_request

# As many as make 0.87 MB.
_FIELDS = {f"f{number}": 1 for number in range(80_000)}
_FIELDS_OF_ONE = {f"f{number:06d}": 1 for number in range(250)}
_ITEMS = 10_000
_JUNK = 340_000
_LATER_S = 3600
_LINE = b'{"a":1}\n'
_MOST_BATCH_BYTES = 32 * 1024**2
_LINES_TYPE = "application/x-ndjson"


def _unknown_fields() -> bytes:
    return request("POST", "/tasks", orjson.dumps({"name": "x", **_FIELDS}))


def _junk() -> bytes:
    """A valid request, with a megabyte of empty arrays."""
    junk = b"[]," * _JUNK
    body = b'{"name":"x","delay_s":%d,"payload":{"a":[%s1]}}' % (_LATER_S, junk)
    return request("POST", "/tasks", body)


def _array() -> bytes:
    item = orjson.dumps({"name": "x", **_FIELDS_OF_ONE})
    return request("POST", "/tasks/batch", b"[" + b",".join([item] * _ITEMS) + b"]")


def _lines() -> bytes:
    body = _LINE * (_MOST_BATCH_BYTES // len(_LINE))
    return request("POST", "/tasks/batch", body, media_type=_LINES_TYPE)


def attacks() -> dict[str, Attack]:
    """Return the attacks; their requests are built once."""
    return {
        "unknown fields": Attack(
            title="0.87 MB with 80,000 unknown fields",
            clients=4,
            once=partial(status_of_request, data=_unknown_fields()),
            must_see=frozenset({"422"}),
        ),
        "junk arrays": Attack(
            title="a payload of 1 MB of empty arrays",
            clients=4,
            once=partial(status_of_request, data=_junk()),
            must_see=frozenset({"201"}),
        ),
        "batch array": Attack(
            title="30 MB: an array of 10,000 tasks with 250 unknown fields each",
            clients=2,
            once=partial(status_of_request, data=_array()),
            must_see=frozenset({"begun"}),
        ),
        "batch lines": Attack(
            title="32 MiB of bad lines",
            clients=2,
            once=partial(status_of_request, data=_lines()),
            must_see=frozenset({"begun"}),
        ),
    }
