"""What layers of an HTTP app tell each other in a request's scope, beside what ASGI has there."""

from typing import Final

DEADLINE: Final = "taskmill.deadline"
"""The request's deadline; it stands still while the client sends."""

HEAD_ONLY: Final = "taskmill.head_only"
"""There when the head of the answer is all that is wanted."""

BODY: Final = "taskmill.body"
"""What the memory that its body takes is counted with."""

ROUTE: Final = "taskmill.route"
"""Which route it is, as documented: said by those that answer without the framework."""

HELD: Final = "taskmill.held"
"""There when the answer was held back, or goes on, as the client wants it: no measure of speed."""

TARGET: Final = "taskmill.target"
"""The request's target as it came, where it is more than a path: it may name another host than `Host` does."""
