-- Purpose: the processes that have reported within a day and did not stop in order. Reads only; they are few.
SELECT id, name, roles, version, seen_at, clock_ahead_s, failing_duties::text AS failing_duties
FROM taskmill.process
ORDER BY name, id
