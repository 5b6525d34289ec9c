"""PostgreSQL: the only truth. Connections, statements, partitions and migrations; no decisions."""
