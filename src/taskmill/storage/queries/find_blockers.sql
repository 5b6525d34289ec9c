-- Purpose: which sessions a session waits for. $1 integer its process id.
-- Locks: none; to look it stops PostgreSQL's lock manager for a moment, so it is for rare questions.
SELECT unnest(pg_blocking_pids($1)) AS pid
