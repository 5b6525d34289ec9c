"""The errors about API keys, and the sessions that stand for them, below `TaskmillError`. None has a secret."""

from uuid import UUID

from taskmill.domain.errors import TaskmillError
from taskmill.domain.grants import Scope


class ApiKeyNotFound(TaskmillError):
    """No API key has this id or name, or none of them is live."""

    def __init__(self, wanted: str, *, state: str = "") -> None:
        super().__init__(f"there is no {state}{' ' if state else ''}API key {wanted!r}")
        self.wanted = wanted


class ApiKeyLimitReached(TaskmillError):
    """The name has as many live API keys as it may."""

    def __init__(self, name: str, ids: tuple[str, ...], advice: str) -> None:
        super().__init__(f"{name!r} has live API keys already ({', '.join(ids)}): {advice}")
        self.name = name
        self.ids = ids


class NotAuthenticated(TaskmillError):
    """The request has no API key that is valid here; it never says what is wrong with one."""

    def __init__(
        self,
        advice: str = "a valid API key is needed, as Authorization: Bearer tm_..., or in TASKMILL_API_KEY "
        "for commands",
    ) -> None:
        super().__init__(advice)


class ScopeMissing(TaskmillError):
    """The API key does not grant what the request needs; `what` says for which names, empty for any."""

    def __init__(self, scope: Scope, what: str = "") -> None:
        super().__init__(f"the API key does not grant {scope}{' for ' if what else ''}{what}")
        self.scope = scope


class SessionNotFound(TaskmillError):
    """No session of the dashboard has this id, or it has ended, or it is of another key."""

    def __init__(self, session_id: UUID) -> None:
        super().__init__(f"there is no session {session_id}")
        self.session_id = session_id


class NoDashboard(TaskmillError):
    """The service shows no pages."""

    def __init__(self) -> None:
        super().__init__("the dashboard is turned off (TASKMILL_DASHBOARD__ENABLED)")
