"""Examples of what needs attention for the OpenAPI document."""

from typing import Any, Final

Json = dict[str, Any]

_NOTICE: Final[Json] = {
    "id": "3d1a7c0e-9b52-5648-8a4d-06f3b7c1e9d2",
    "kind": "unserved",
    "severity": "trouble",
    "sentence": "No worker runs type render of queue gpu, and 812 tasks are due.",
    "action": "Start a worker that has the type render and serves the queue gpu.",
    "queue": "gpu",
    "since": "2026-11-25T01:23:32.820000Z",
    "tasks": 812,
    "are_more": False,
    "count": 1,
    "page": "/ui/tasks?status=new&queue=gpu&type=render",
    "mark": None,
    "facts": {"queue": "gpu", "type": "render", "n": 812},
}

_MARK: Final[Json] = {
    "state": "acknowledged",
    "by": "on-call",
    "at": "2026-11-25T01:38:02.120000Z",
    "until": None,
    "note": "the machine with the cards is back at noon",
}

ATTENTION: Final[Json] = {
    "MarkView": _MARK,
    "NoticeView": _NOTICE,
    "AttentionView": {
        "at": "2026-11-25T01:37:32.820000Z",
        "verdict": "trouble",
        "count": 1,
        "well_since": None,
        "items": [_NOTICE],
    },
}
"""An example for each model."""
