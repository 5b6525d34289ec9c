"""Handlers that run in isolated processes: the pool, the program of the processes, and their messages."""
