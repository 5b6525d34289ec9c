"""A time window in an address: `window`, or `from` and `to`. It is carried from page to page as it was asked for.

What a page shows of it may be more, in whole steps: were that carried, each page would widen the span of the next.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from taskmill.dashboard.form import first, parse_pairs
from taskmill.dashboard.navigation import entry_of
from taskmill.domain.activity import Window
from taskmill.domain.errors import InvalidInput
from taskmill.domain.time_ranges import LONGEST
from taskmill.wire.fields import parse_timestamp
from taskmill.wire.wording import describe

Pairs = list[tuple[str, str]]

CARRYING: Final = frozenset({"overview", "queues", "types", "failures"})
"""The entries of the navigation whose pages have a time window."""

NAMES: Final = frozenset({"window", "from", "to"})
_WITHOUT_SECONDS: Final = re.compile(r"(.*T[0-9]{2}:[0-9]{2})(Z|[+-].*)?", re.ASCII)
_WITHOUT_ZONE: Final = re.compile(r".*T[0-9:.]+", re.ASCII)


def carried(path: str, query_string: bytes, now: datetime) -> Pairs:
    """Return the parameters of the window of a page; none if it has none, or none that is valid."""
    entry = entry_of(path)
    if entry is not None and entry.name in CARRYING:
        with suppress(InvalidInput):
            return asked(parse_pairs(query_string), now)
    return []


def asked(query: Pairs, now: datetime) -> Pairs:
    """Return the parameters of a window as they were given. Raises `InvalidInput`."""
    if ends_of(query, now) is not None:
        return [(name, text) for name in ("from", "to") if (text := first(query, name))]
    window = first(query, "window")
    return [("window", window)] if window in set(Window) else []


def ends_of(query: Pairs, now: datetime) -> tuple[datetime, datetime] | None:
    """Return from when to when the window is, at most until `now`; None when it is no range.

    Raises:
        InvalidInput: It is no time, ends before it begins, begins in the future, or is too long.
    """
    if not (first(query, "from") or first(query, "to")):
        return None
    since = _moment(query, "from")
    # What is to come would only make the steps longer.
    until = min(_moment(query, "to"), now) if first(query, "to") else now
    if since >= until:
        expected = "a time before the end, and not in the future"
        raise InvalidInput.at("query:from", expected, "another time")
    if until - since > LONGEST:
        raise InvalidInput.at("query:from", f"at most {LONGEST.days} days before the end", "more")
    return since, until


def _moment(query: Pairs, name: str) -> datetime:
    text = first(query, name)
    found = parse_moment(text)
    if found is None:
        expected = "a time such as 2026-11-30T10:00Z"
        raise InvalidInput.at(f"query:{name}", expected, describe(text, reveal=True))
    return found


def parse_moment(text: str) -> datetime | None:
    """Parse a time; without a zone, as forms send it, it is in UTC. None when it is no time."""
    short = _WITHOUT_SECONDS.fullmatch(text)
    whole = f"{short[1]}:00{short[2] or ''}" if short else text
    with suppress(ValueError):
        return parse_timestamp(f"{whole}Z" if _WITHOUT_ZONE.fullmatch(whole) else whole)
    return None


def field_text(moment: datetime) -> str:
    """Format a time for a form's field, in UTC; scripts show it in the reader's zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
