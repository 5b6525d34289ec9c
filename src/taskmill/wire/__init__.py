"""The formats of HTTP and messages: strict JSON, the shapes of requests and responses, problems."""
