"""The HTTP entry point: reads requests, calls the task service, writes responses. It knows nothing of storage."""
