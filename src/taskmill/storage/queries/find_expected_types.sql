-- Purpose: which of some types are expected: they are served (by a contract, or a worker of the last hour), or were
-- recorded lately as types that are not. $1 text[] types. Reads only: contracts, leases and recorded types are few.
-- IS TRUE makes hash tables of the names instead of joins by nested loops. Relies on lease_open and
-- lease_worker_closed.
WITH served AS MATERIALIZED (
    SELECT DISTINCT type FROM taskmill.served_type
)
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE EXISTS (SELECT FROM served WHERE type = '*')
    OR (wanted.name IN (SELECT type FROM served)) IS TRUE
    OR (wanted.name IN (SELECT name FROM taskmill.unserved_type WHERE noted_at > now() - interval '5 minutes')) IS TRUE
