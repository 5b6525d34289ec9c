"""The client for asynchronous Python. `scripts/synchronous_client.py` makes `synchronous` of it."""
