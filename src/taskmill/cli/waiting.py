"""The counts of waiting tasks that a service has shown, as the domain has them."""

from taskmill.client.views.waiting import WaitingView
from taskmill.domain.waiting import WaitingCount, WaitingCounts, WaitingState


def counts_of(shown: WaitingView) -> WaitingCounts:
    """Return the counts, by what the tasks wait for."""
    parts = {state.value: getattr(shown, state.value) for state in WaitingState}
    return WaitingCounts(
        **{name: WaitingCount(one.tasks, one.are_more) for name, one in parts.items()}
    )
