"""The client for ordinary Python, made of `asynchronous` by `scripts/synchronous_client.py`."""
