-- Purpose: a process reports that it lives, once a minute. $1 uuid id, $2 text name, $3 text[] roles, $4 text version,
-- $5 double precision: how far its machine's clock is ahead, in s; $6 text: its failing duties, JSON.
-- Locks: its own row, then rows of processes that were not seen for a day, which are deleted. Relies on the primary
-- key; processes are few.
WITH reported AS (
    INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s, failing_duties)
    VALUES ($1, $2, $3, $4, $5, $6::jsonb)
    ON CONFLICT (id) DO UPDATE SET
        seen_at = now(), clock_ahead_s = excluded.clock_ahead_s, failing_duties = excluded.failing_duties
)
DELETE FROM taskmill.process
WHERE id IN (
    SELECT id FROM taskmill.process WHERE seen_at < now() - interval '1 day' FOR UPDATE SKIP LOCKED
)
