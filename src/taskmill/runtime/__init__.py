"""What every role runs on: clock, ids, services, batching and signals. It knows nothing of tasks."""
