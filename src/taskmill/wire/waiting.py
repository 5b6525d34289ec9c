"""The shape of counts of waiting tasks."""

from pydantic import BaseModel, Field

from taskmill.domain.waiting import WaitingCount, WaitingCounts, WaitingState


class WaitingCountView(BaseModel):
    """A number of tasks, counted up to a bound."""

    tasks: int
    are_more: bool = Field(description="there are more than that")

    @property
    def text(self) -> str:
        """The number, with a plus if there are more."""
        return str(WaitingCount(self.tasks, self.are_more))


class WaitingView(BaseModel):
    """New tasks by what they wait for."""

    ready: WaitingCountView = Field(description="due, and a live worker serves them")
    scheduled: WaitingCountView = Field(description="due later, for the first time")
    retrying: WaitingCountView = Field(description="due later, after a failed attempt")
    held: WaitingCountView = Field(
        description="due, but their queue is paused, or no live worker serves them"
    )

    def of(self, state: WaitingState) -> WaitingCountView:
        """Return one of the counts."""
        count: WaitingCountView = getattr(self, state.value)
        return count


def waiting_fields(counts: WaitingCounts | None) -> dict[str, dict[str, object]] | None:
    """Return the fields of a `WaitingView`."""
    if counts is None:
        return None
    return {str(state): counts.of(state)._asdict() for state in WaitingState}
