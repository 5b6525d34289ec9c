"""The shape of counts of waiting tasks."""

from pydantic import BaseModel, Field

from taskmill.domain.waiting import WaitingCounts, WaitingState


class WaitingCountView(BaseModel):
    """A number of tasks, counted up to a bound."""

    tasks: int
    are_more: bool = Field(description="there are more than that")


class WaitingView(BaseModel):
    """New tasks by what they wait for."""

    ready: WaitingCountView = Field(description="due, and a live worker serves them")
    scheduled: WaitingCountView = Field(description="due later, for the first time")
    retrying: WaitingCountView = Field(description="due later, after a failed attempt")
    held: WaitingCountView = Field(
        description="due, but their queue is paused, or no live worker serves them"
    )


def waiting_fields(counts: WaitingCounts | None) -> dict[str, dict[str, object]] | None:
    """Return the fields of a `WaitingView`."""
    if counts is None:
        return None
    return {str(state): counts.of(state)._asdict() for state in WaitingState}
