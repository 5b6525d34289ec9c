"""What is sent and what is received, without the HTTP client: importing that takes 0.1 s and 6 MB."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDictProxy


@dataclass(slots=True, kw_only=True)
class Request:
    """A request to an address of the form that `wire.urls` takes."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Response:
    """A response as received: its body is not decompressed, and `is_cut` if it was longer than allowed."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    is_cut: bool
