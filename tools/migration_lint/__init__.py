"""Lints what migrations run, before a database does: `python -m tools.migration_lint`."""
