"""Kinds of failures: which there are, and what operators decide about one. Retries are sweeps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from taskmill.domain.activity import AnyWindow
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import FailureKindNotFound, InvalidInput
from taskmill.domain.failure_samples import FailureSample
from taskmill.domain.failures import (
    FailureKind,
    FailurePage,
    KindDetails,
    KindFilter,
    KindOrder,
    KindPosition,
    KindState,
)
from taskmill.operations.audit import AuditLog, current_origin
from taskmill.operations.visibility import visible_queues
from taskmill.storage import failure_kinds, failures
from taskmill.storage.database import Database

_ACTIONS: Final[Mapping[KindState, AuditAction]] = {
    KindState.RESOLVED: AuditAction.FAILURE_RESOLVE,
    KindState.IGNORED: AuditAction.FAILURE_IGNORE,
    KindState.OPEN: AuditAction.FAILURE_REOPEN,
}


class FailureKinds:
    """The kinds of failures that this context may see. Its methods raise `Unavailable`."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

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
            InvalidInput: too many tasks have the label to look it up in time.
        """
        visible = await visible_queues(self._database)
        of_label: failures.KindsOfLabel | None = None
        if wanted.label is not None:
            of_label = await failures.kinds_of_label(self._database, wanted, visible)
            if of_label is None:
                raise InvalidInput.at(
                    "query:label", "a label that fewer tasks have", "a frequent one"
                )
        page = await failures.read(
            self._database,
            wanted,
            order,
            limit=limit,
            after=after,
            visible=visible,
            kinds=None if of_label is None else of_label.kinds,
        )
        return replace(page, is_sampled=of_label is not None and of_label.is_sampled)

    async def get(self, kind_id: str, window: AnyWindow) -> KindDetails:
        """Return a kind over a window; `first_at` and `last_at` are of all that is known of it.

        Raises:
            FailureKindNotFound: there is none, or it has not failed for 40 days.
        """
        visible = await visible_queues(self._database)
        known = await self._find(kind_id)
        found = await failure_kinds.details(self._database, known, window, visible)
        kind = replace(
            found.kind, first_at=known.first_at, last_at=known.last_at, state=known.state
        )
        return replace(found, kind=kind)

    async def sample(self, details: KindDetails) -> FailureSample:
        """Return the newest tasks that are still failed in this way, and what to compare them with."""
        visible = await visible_queues(self._database)
        return await failure_kinds.sample(
            self._database, details.kind, list(details.types), visible
        )

    async def decide(self, kind_id: str, state: KindState) -> None:
        """Note that this context resolves or ignores a kind, or (open) neither. Raises `FailureKindNotFound`."""
        target = Target(TargetType.FAILURE, kind_id)
        async with self._audit.record(_ACTIONS[state], target) as outcome:
            kind = await self._find(kind_id)
            actor = current_origin().actor
            await failure_kinds.decide(self._database, kind, state, actor.name or actor.address)
            outcome["kind"] = kind.kind

    async def _find(self, kind_id: str) -> FailureKind:
        visible = await visible_queues(self._database)
        found = await failure_kinds.find(self._database, kind_id, visible)
        if found is None:
            raise FailureKindNotFound(kind_id)
        return found
