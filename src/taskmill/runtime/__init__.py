"""What every role runs on: clock, ids, services, batching, signals, the HTTP server. It knows nothing of tasks."""
