"""What travels over HTTP and messages: strict JSON, request and answer shapes, problems."""
