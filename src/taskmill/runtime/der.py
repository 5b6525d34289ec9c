"""Reads from a certificate in DER when it is valid: Python's `ssl` says that only of a peer's certificate.

It walks to the one field (RFC 5280, section 4.1), and checks nothing else.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_LONG: Final = 0x80
# A year of two digits below this is in the 2000s.
_CENTURY_PIVOT: Final = 50


class _Element(NamedTuple):
    tag: int
    content: bytes
    rest: bytes


def validity_of(certificate: bytes) -> tuple[datetime, datetime]:
    """Return the first and the last moment at which a certificate is valid.

    Raises:
        ValueError: it is not a certificate.
    """
    fields = _sequence(_sequence(certificate).content).content
    if fields[:1] == bytes([_VERSION]):
        fields = _element(fields).rest
    for _ in ("serial number", "algorithm", "issuer"):
        fields = _element(fields).rest
    validity = _sequence(fields)
    begins_at = _element(validity.content)
    return _moment(begins_at), _moment(_element(begins_at.rest))


def _sequence(data: bytes) -> _Element:
    found = _element(data)
    if found.tag != _SEQUENCE:
        raise ValueError("it is not a certificate")
    return found


def _element(data: bytes) -> _Element:
    if len(data) < 2:  # noqa: PLR2004 - tag and length
        raise ValueError("it ends too early")
    size, start = data[1], 2
    if size & _LONG:
        start += size & ~_LONG
        size = int.from_bytes(data[2:start])
    if len(data) < start + size:
        raise ValueError("it ends too early")
    return _Element(data[0], data[start : start + size], data[start + size :])


def _moment(element: _Element) -> datetime:
    text = element.content.decode("ascii", "replace")
    if element.tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY_PIVOT else "19") + text
    elif element.tag != _GENERALIZED_TIME:
        raise ValueError("it has no dates")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
