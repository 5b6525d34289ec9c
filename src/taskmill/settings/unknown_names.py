"""Explains names that are not settings: they were removed, or misspelled."""

import difflib
from collections.abc import Sequence
from typing import Final

# What to use instead of settings that were removed.
_REMOVED: Final = {
    "outbound.signing_keys": "callbacks are signed with the keys of callback_signing_keys, pushes with those of "
    "push_signing_keys, in the same group; the two have no key in common",
}


def unknown_name(name: str, dotted: str, origin: str, known: Sequence[str]) -> str:
    """Return the error for a name: what replaces it, or else the nearest known name.

    `dotted` is the name within the settings, `origin` where it was found.
    """
    if dotted in _REMOVED:
        return f"{name} ({origin}) is not a setting any more: {_REMOVED[dotted]}"
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; see `taskmill settings`"
    return f"{name} ({origin}) is not a setting{hint}"
