"""Contracts of task types: from a JSON Schema to the check of a payload."""
