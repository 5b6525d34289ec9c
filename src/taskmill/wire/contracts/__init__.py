"""Contracts of task types on the wire: from a JSON Schema to checks that all doors make alike."""
