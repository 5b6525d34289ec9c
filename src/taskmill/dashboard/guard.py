"""What keeps pages from doing what others want: the headers of every answer, and who may post.

There is no login, and so no session to forge: but a page of any site could have a browser inside the network
post to it. Browsers say where a request comes from, and what does not come from here is refused
(docs/decisions/0041-the-dashboard-trusts-its-own-pages.md).
"""

from typing import Final

from starlette.datastructures import Headers

POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN: Final = frozenset({"same-origin", "none"})


def is_foreign(headers: Headers) -> bool:
    """Tell whether a request that changes something comes from a page that is not ours.

    Programs that are no browsers send neither header: nobody can make them post against their will.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")
