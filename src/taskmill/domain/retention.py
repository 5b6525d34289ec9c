"""How long a queue may keep its ended tasks."""

from datetime import timedelta
from typing import Final

SHORTEST_KEEP: Final = timedelta(hours=1)
LONGEST_KEEP: Final = timedelta(days=380)
"""Weeks are kept as long as the longest time of a queue with tasks in them, and their number is limited."""
