-- Purpose: workers that pull over HTTP renew their leases, and get what still runs under them and for what of that
-- a cancel was requested. It revives a lease that ran out, but none that was closed.
-- $1 uuid[] leases (each once), $2 double precision[] times to live in seconds (null: as before).
-- Locks: the leases, in the order of ids. Touches no indexed column (HOT). Relies on the primary keys of lease and
-- running: a remote lease names all its tasks. Returns the leases that are still open.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::double precision[]) AS input (id, ttl_s)
),
held AS MATERIALIZED (
    SELECT
        l.id,
        coalesce(
            i.ttl_s, round(extract(epoch FROM l.expires_at - l.renewed_at), 3)::double precision
        ) AS ttl_s
    FROM input AS i
    JOIN taskmill.lease AS l ON l.id = i.id
    WHERE l.remote AND l.closed_at IS NULL
    ORDER BY l.id
    FOR NO KEY UPDATE OF l
),
renewed AS (
    UPDATE taskmill.lease AS l
    SET renewed_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(secs => h.ttl_s)
    FROM held AS h
    WHERE l.id = h.id
    RETURNING l.id, l.expires_at, l.task_ids, h.ttl_s
)
SELECT r.id, r.expires_at, r.ttl_s, running.ids, running.cancel_requested_ids
FROM renewed AS r
CROSS JOIN LATERAL (
    SELECT
        array_agg(task_id) AS ids,
        array_agg(task_id) FILTER (WHERE cancel_requested_at IS NOT NULL) AS cancel_requested_ids
    FROM taskmill.running
    WHERE task_id = ANY(r.task_ids) AND lease_id = r.id
) AS running
