-- Purpose: the types that have a contract, with it, and how many live workers run each. $1 text[]: only these
-- types; null for all. $2 text[]: only workers that serve one of these queues; null for all. Reads only; leases and types are few. A worker that pulls over HTTP has a lease for each
-- claim, so it is counted by its name.
WITH served AS MATERIALIZED (
    SELECT CASE WHEN l.remote THEN l.worker ELSE l.id::text END AS worker, served.type
    FROM taskmill.lease AS l
    CROSS JOIN unnest(l.types) AS served (type)
    WHERE l.closed_at IS NULL AND l.expires_at > clock_timestamp()
        AND ($2::text[] IS NULL OR cardinality(l.queues) = 0 OR l.queues && $2::text[])
)
SELECT
    t.name, t.changed_at, c.version, c.schema::text AS schema, c.defaults::text AS defaults, c.registered_at,
    c.registered_by,
    (SELECT count(DISTINCT s.worker) FROM served AS s WHERE s.type IN (t.name, '*'))::integer AS workers
FROM taskmill.task_type AS t
JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
WHERE $1::text[] IS NULL OR t.name = ANY($1::text[])
ORDER BY t.name
