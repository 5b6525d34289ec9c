"""`If-Match` on what changes a task: it is done only while the task has a version that the client names.

Progress moves the other part of an entity tag, and is no reason to refuse. Weak tags count as strong ones: a proxy
that compresses answers makes them weak.
"""

import re
from typing import Final

from starlette.types import Scope

from taskmill.domain.errors import InvalidInput

IF_MATCH: Final = "If-Match"

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t]*(?:{_TAG}[ \t]*)?(?:,[ \t]*(?:{_TAG}[ \t]*)?)*")
_OWN: Final = re.compile(r'"([0-9]{1,9})\.[0-9]{1,10}"')


def versions_asked(scope: Scope) -> frozenset[int] | None:
    """Return the versions of which the task must have one; None when the client names none, or any.

    Raises:
        InvalidInput: the header is no list of entity tags.
    """
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-match"]
    if not values or any(value.strip() == "*" for value in values):
        return None
    asked = ",".join(values)
    if _TAGS.fullmatch(asked) is None or '"' not in asked:
        expected = 'entity tags such as "3.0", separated by commas, or *'
        raise InvalidInput.at(f"header:{IF_MATCH}", expected, "something else")
    return frozenset(int(found[1]) for found in _OWN.finditer(asked))
