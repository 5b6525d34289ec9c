"""The W3C trace context of a request or a message: which is kept, and how it is written.

It starts no trace; what is done with a context that is kept is `observability.traces`'.
"""

import re

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED = 1


def kept_traceparent(sent: str | None) -> str | None:
    """Return the context as it is kept, None when there is none or it is not valid.

    One of version 00 is kept as it came. Of a later version, which may be longer, what version 00 knows
    is kept, as the standard asks (https://www.w3.org/TR/trace-context/#versioning-of-traceparent).
    """
    found = _TRACEPARENT.fullmatch(sent) if sent else None
    if found is None:
        return None
    version, ids, flags, rest = found.groups()
    if version == "00":
        return None if rest else sent
    return f"00-{ids}-{int(flags, 16) & _SAMPLED:02x}"
