"""What the client returns, generated from `taskmill.wire` by `scripts/client_views.py`: a module for each."""
