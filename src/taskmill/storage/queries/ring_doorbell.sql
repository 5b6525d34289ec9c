-- Purpose: wake idle workers. Never inside a hot transaction: NOTIFY holds a cluster-wide lock over its commit.
SELECT pg_notify('taskmill_dispatch', '')
