"""What the client returns of `taskmill.wire.problems`, which this is generated from."""

from __future__ import annotations

from taskmill.client.view import View


class ProblemItem(View):
    """One thing that is wrong with a request."""

    pointer: str
    """JSON pointer into the body (empty: all of it), or query:…, header:…, path:…, property:…"""
    expected: str
    got: str


class Problem(View):
    """Why a request was refused (RFC 9457)."""

    type: str
    """stable; the same for every problem of this kind"""
    title: str
    status: int
    detail: str
    instance: str | None = None
    """the path of the request"""
    errors: list[ProblemItem] | None = None
    """all that is wrong"""
    limit: int | None = None
    """what was exceeded"""
    retained_days: int | None = None
    """for how long changes are retained"""
    retry_after_s: float | None = None
    """when to send the request again"""
    task_id: str | None = None
    task_status: str | None = None
    """the status that does not allow it"""
    scope: str | None = None
    """what the API key does not grant"""
    quota: str | None = None
    """what the API key has too much of"""
    action: str | None = None
    """the requested action"""
    waiting: int | None = None
    """how many tasks of the queue wait"""
    running: int | None = None
    """how many of them run"""
