"""The worker role: holds a lease, claims tasks, runs their handlers and records how they ended."""
