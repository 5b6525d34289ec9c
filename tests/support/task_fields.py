"""A value of each kind of task field, other than any default."""

from collections.abc import Mapping
from typing import Any, Final

from taskmill.domain.task_fields import Kind

VALUES: Final[Mapping[Kind, Any]] = {
    Kind.TEXT: "something",
    Kind.NAME: "orange",
    Kind.INTEGER: 9,
    Kind.SECONDS: 1.5,
    Kind.TIME: "2030-01-31T09:00:00.000000Z",
    Kind.URL: "https://example.org/done",
    Kind.OBJECT: {"customer": 4711},
    Kind.LABELS: {"team": "finance"},
    Kind.POINTERS: ["/customer", "/cards/0/number"],
    Kind.RETRY: {"base_s": 5.0, "factor": 3.0, "max_s": 60.0, "jitter": 0.2},
}
