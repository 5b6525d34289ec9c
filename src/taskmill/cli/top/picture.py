"""What is known of a service: its newest snapshot, and what follows from it. It draws nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final

from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Failures, Snapshot, read
from taskmill.cli.top.rows import Board, board
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.errors import ClientError
from taskmill.client.refusals import ChangesForgotten
from taskmill.client.views.attention import NoticeView
from taskmill.domain.lifecycle import Status

_FOLLOW_AGAIN_S: Final = 1.0


class Picture:
    """The newest snapshot, None before the first one, with its rates and rows."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.rates = Rates()
        self.board = Board(queues=(), workers=(), failures=())
        self._failures = Failures()

    async def read(
        self, client: AsyncTaskmillClient, window: str, queue: str | None = None
    ) -> Snapshot:
        """Take a new snapshot, with the activity of this queue. Raises a `ClientError`."""
        snapshot = await read(client, self._failures, window, queue)
        self.take(snapshot)
        return snapshot

    def take(self, snapshot: Snapshot) -> None:
        """Replace the snapshot."""
        self.snapshot = snapshot
        self.rates.add(snapshot.activity)
        self.board = board(snapshot, self.rates)

    @property
    def notices(self) -> Sequence[NoticeView]:
        """What needs attention, as the service decides, and nobody has seen to."""
        items = self.snapshot.attention.items if self.snapshot else ()
        return [one for one in items if one.mark is None]

    async def follow(self, client: AsyncTaskmillClient) -> None:
        """Follow failures all the time; the next snapshot has them."""
        after: str | None = None
        while True:
            if after is None:
                self._failures.restart_feed()
            try:
                async for change in client.feed(after=after, status=Status.FAILED):
                    after = change.cursor
                    self._failures.add_change(change)
            except ChangesForgotten:
                after = None
            except ClientError:
                await asyncio.sleep(_FOLLOW_AGAIN_S)
