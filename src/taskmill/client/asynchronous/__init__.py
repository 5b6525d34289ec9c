"""The client for asynchronous Python; `scripts/synchronous_client.py` generates `synchronous` from it."""
