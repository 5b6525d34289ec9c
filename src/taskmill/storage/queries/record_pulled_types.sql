-- Purpose: record that a worker pulls types over HTTP. $1 text[] sorted types, $2 integer: once there are so many,
-- no new ones are recorded; calls at the same time may record a few more.
-- Locks: the rows of these types, in order. Relies on the primary key.
INSERT INTO taskmill.pulled_type AS p (name)
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE (SELECT count(*) FROM taskmill.pulled_type) < $2::integer
    OR EXISTS (SELECT FROM taskmill.pulled_type AS known WHERE known.name = wanted.name)
ORDER BY wanted.name
ON CONFLICT (name) DO UPDATE SET pulled_at = now() WHERE p.pulled_at < now() - interval '5 minutes'
RETURNING name
