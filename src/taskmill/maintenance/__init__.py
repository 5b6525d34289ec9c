"""The maintenance role: rescue, partitions, retention, counters. Several copies may run at once."""
