"""Handlers that run in processes of their own: a pool, what the processes run, and how the two talk."""
