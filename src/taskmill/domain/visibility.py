"""Which queues a request may see, where its API key grants a right for some of them only."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """The queues for which a key grants all of these scopes. Others do not exist for whom it limits."""

    key: ApiKey
    scopes: tuple[Scope, ...]

    @property
    def named(self) -> frozenset[str]:
        """The queues that the key names, without a pattern."""
        names = chain.from_iterable(grant.queues for grant in self.key.draft.grants)
        return self.of(name for name in names if not name.endswith("*"))

    def of(self, queues: Iterable[str]) -> frozenset[str]:
        """Return those of some queues that may be seen."""
        return frozenset(filter(self.shows, queues))

    def shows(self, queue: str) -> bool:
        """Return whether a queue may be seen; it need not exist yet."""
        return all(self.key.permits(scope, queue=queue) for scope in self.scopes)
