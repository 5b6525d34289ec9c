"""The relay role: publishes hints about due tasks, and the feed of changes. PostgreSQL stays the only truth."""
