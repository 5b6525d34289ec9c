"""A shop that keeps its orders beside Taskmill's tables, in one database."""
