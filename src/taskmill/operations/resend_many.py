"""Sends many refused messages again, one after the other, for as long as a request may take."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from taskmill.domain.errors import RejectionNotFound, TaskmillError, TaskNotFound, Unavailable
from taskmill.domain.rejection import RejectionFilter
from taskmill.operations.rejections import Rejections

_AT_ONCE: Final = 200
_MOST_SHOWN: Final = 20


@dataclass(slots=True, kw_only=True)
class ResentMessages:
    """How many became tasks, how many were refused again, and why the first of these.

    `next_before` is from where on to go on, None when there is nothing left.
    """

    sent: int = 0
    refused: int = 0
    why: list[tuple[UUID, TaskmillError]] = field(default_factory=list)
    next_before: UUID | None = None


async def resend_ids(rejections: Rejections, ids: Iterable[UUID]) -> ResentMessages:
    """Send these again. Raises `Unavailable`: what was sent until then are tasks, and a repeat makes no others."""
    done = ResentMessages()
    for rejection_id in ids:
        await _resend(rejections, rejection_id, done)
    return done


async def resend_matching(
    rejections: Rejections, wanted: RejectionFilter, *, before: UUID | None, budget_s: float
) -> ResentMessages:
    """Send again what a filter admits and has become no task, newest first, for about `budget_s` seconds.

    Raises as `resend_ids` does.
    """
    now = asyncio.get_running_loop().time
    done, ends_at = ResentMessages(next_before=before), now() + budget_s
    while True:
        found = await rejections.search(
            replace(wanted, is_open=True), before=done.next_before, limit=_AT_ONCE
        )
        for one in found.messages:
            await _resend(rejections, one.id, done)
            done.next_before = one.id
            if now() >= ends_at:
                return done
        done.next_before = found.next_before
        if found.next_before is None or now() >= ends_at:
            return done


async def _resend(rejections: Rejections, rejection_id: UUID, done: ResentMessages) -> None:
    try:
        await rejections.resend(rejection_id)
    except Unavailable:
        raise
    except (RejectionNotFound, TaskNotFound):
        return
    except TaskmillError as error:
        done.refused += 1
        if len(done.why) < _MOST_SHOWN:
            done.why.append((rejection_id, error))
    else:
        done.sent += 1
