"""Examples of jobs for the OpenAPI document."""

from typing import Any, Final

Json = dict[str, Any]

_FILTER: Final[Json] = {
    "status": ["failed"],
    "queue": "reports",
    "type": None,
    "label": ["team=finance"],
    "name": None,
    "waiting": None,
    "error": None,
    "worker_id": None,
    "source": None,
    "priority": None,
    "took_over_s": None,
    "attempts_over": None,
    "created_after": None,
    "created_before": None,
}

_JOB: Final[Json] = {
    "id": "01a21058-2f60-7000-9c41-7d0be2a6f318",
    "action": "retry",
    "state": "running",
    "problem": None,
    "filter": _FILTER,
    "picked": None,
    "limit": 5000,
    "expected": None,
    "matched": 2000,
    "changed": 1998,
    "cancel_requested": 0,
    "first_at": "2026-11-25T01:37:32.820000Z",
    "per_second": 20.0,
    "last_at": "2026-11-25T01:39:12.670000Z",
    "started_by": "on-call",
    "created_at": "2026-11-25T01:37:32.821000Z",
    "updated_at": "2026-11-25T01:37:34.120000Z",
    "stop_requested_at": None,
    "stop_requested_by": None,
    "ended_at": None,
}

JOBS: Final[Json] = {
    "JobFilterView": _FILTER,
    "JobView": _JOB,
    "JobList": {"items": [_JOB], "next_cursor": None},
}
"""An example for each model."""
