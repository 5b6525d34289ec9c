"""Validates the W3C trace context of a request or a message.

It starts no trace; that is `observability.traces`.
"""

import re

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1


def valid_traceparent(sent: str | None) -> str | None:
    """Return the context to store, None when there is none or it is not valid.

    One of version 00 is returned unchanged. A later version, which may be longer, is reduced to version 00, as the
    standard asks (https://www.w3.org/TR/trace-context/#versioning-of-traceparent).
    """
    found = _TRACEPARENT.fullmatch(sent) if sent else None
    if found is None:
        return None
    version, ids, flags, more = found.groups()
    if version == "00":
        return None if more else sent
    return f"00-{ids}-{int(flags, 16) & _SAMPLED:02x}"


def trace_id_of(traceparent: str) -> str | None:
    """Return the id of the trace of a context; None if it is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[2].partition("-")[0] if found else None
