"""Contracts of task types: from a JSON Schema to checks that are the same at all entry points."""
