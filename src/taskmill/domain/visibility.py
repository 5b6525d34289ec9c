"""Which queues a request may see, where its API key grants a right for some of them only."""

from dataclasses import dataclass

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """The queues for which a key grants all of these scopes. Others do not exist for whom it limits."""

    key: ApiKey
    scopes: tuple[Scope, ...]

    def shows(self, queue: str) -> bool:
        """Return whether a queue may be seen; it need not exist yet."""
        return all(self.key.permits(scope, queue=queue) for scope in self.scopes)
