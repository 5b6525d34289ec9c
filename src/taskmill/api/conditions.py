"""`If-Match` on requests that change a task: refused unless the task has a version that the client names.

Progress changes the second part of an entity tag, which is not compared here. Weak tags count as strong ones: a
proxy that compresses responses makes them weak.
"""

import re
from typing import Final

from starlette.types import Scope

from taskmill.domain.errors import InvalidInput

IF_MATCH: Final = "If-Match"

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t]*(?:{_TAG}[ \t]*)?(?:,[ \t]*(?:{_TAG}[ \t]*)?)*")
_OWN: Final = re.compile(r'"([0-9]{1,9})\.[0-9]{1,10}"')


def if_match_versions(scope: Scope) -> frozenset[int] | None:
    """Return the versions of which the task must have one; None when any version will do.

    Raises:
        InvalidInput: the header is not a list of entity tags.
    """
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-match"]
    if not values or any(value.strip() == "*" for value in values):
        return None
    header = ",".join(values)
    if _TAGS.fullmatch(header) is None or '"' not in header:
        expected = 'entity tags such as "3.0", separated by commas, or *'
        raise InvalidInput.at(f"header:{IF_MATCH}", expected, "something else")
    return frozenset(int(found[1]) for found in _OWN.finditer(header))
