-- Purpose: which of some types are expected: they have a contract or a live worker, or were recorded lately as
-- types that have neither. $1 text[] types. Reads only: contracts, leases and recorded types are few.
-- IS TRUE makes hash tables of the names instead of joins by nested loops.
WITH served AS MATERIALIZED (
    SELECT DISTINCT unnest(types) AS type
    FROM taskmill.lease
    WHERE closed_at IS NULL AND expires_at > clock_timestamp()
)
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE EXISTS (SELECT FROM served WHERE type = '*')
    OR (wanted.name IN (SELECT type FROM served)) IS TRUE
    OR (wanted.name IN (SELECT name FROM taskmill.task_type)) IS TRUE
    OR (wanted.name IN (SELECT name FROM taskmill.unserved_type WHERE noted_at > now() - interval '5 minutes')) IS TRUE
