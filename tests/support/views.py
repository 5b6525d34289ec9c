"""What the client would return, of data that tests make up."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from taskmill.client.json_text import json_bytes, read_json
from taskmill.client.reading import reader_of

V = TypeVar("V")


def a_view(kind: type[V], values: Mapping[str, Any]) -> V:
    """Read a view, as it would come from the service; times and ids may be Python's."""
    return cast(V, reader_of(kind)(read_json(json_bytes(values))))
