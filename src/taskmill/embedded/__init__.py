"""A PostgreSQL of its own for `taskmill up` and the tests; it knows nothing about tasks."""
