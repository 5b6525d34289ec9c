"""Kinds of failures: which there are, and what operators decide about one. Retries are sweeps."""

from collections.abc import Sequence

from taskmill.domain.errors import InvalidInput
from taskmill.domain.failures import FailurePage, KindFilter, KindOrder, KindPosition
from taskmill.operations.visibility import visible_queues
from taskmill.storage import failures
from taskmill.storage.database import Database


class FailureKinds:
    """Reads the kinds of failures that this context may see. Its methods raise `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        wanted: KindFilter,
        order: KindOrder = KindOrder.MOST,
        *,
        limit: int,
        after: KindPosition | None = None,
    ) -> FailurePage:
        """Return a page of the kinds that the filter admits.

        Raises:
            InvalidInput: too many tasks have the label.
        """
        visible = await visible_queues(self._database)
        of_label: Sequence[str] | None = None
        if wanted.label is not None:
            of_label = await failures.kinds_of_label(self._database, wanted, visible)
            if of_label is None:
                raise InvalidInput.at(
                    "query:label", "a label that fewer tasks have", "a frequent one"
                )
        return await failures.read(
            self._database,
            wanted,
            order,
            limit=limit,
            after=after,
            visible=visible,
            kinds=of_label,
        )
