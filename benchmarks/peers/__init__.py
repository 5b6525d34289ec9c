"""What Taskmill is compared with, each in a virtual environment of its own.

`python -m benchmarks.peers NAME ACTION` runs there, and imports nothing but the standard library, the peer and
this folder; `queues.py` and `environments.py` are the runner's side.
"""
