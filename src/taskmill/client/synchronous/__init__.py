"""The client for synchronous Python, generated from `asynchronous` by `scripts/synchronous_client.py`."""
