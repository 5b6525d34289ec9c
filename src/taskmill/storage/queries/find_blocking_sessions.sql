-- Purpose: which sessions a session waits for. $1 integer its process id.
-- Locks: none, but it stops PostgreSQL's lock manager for a moment: use it rarely.
SELECT unnest(pg_blocking_pids($1)) AS pid
