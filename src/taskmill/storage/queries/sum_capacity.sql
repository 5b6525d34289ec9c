-- Purpose: capacity: live workers, their slots, and how many of these are taken. For moments a worker has more
-- tasks in progress than slots, while ends are being written.
-- $1 text[]: only workers that serve one of these queues, and what they run of these; null for all.
-- A worker that pulls over HTTP has a lease for each claim, so it is counted by its name.
-- Reads only; relies on lease_open, and reads all of `running`, like a round of rescue.
WITH busy AS MATERIALIZED (
    SELECT lease_id, count(*)::integer AS running
    FROM taskmill.running
    WHERE $1::text[] IS NULL OR queue = ANY($1::text[])
    GROUP BY lease_id
)
SELECT
    (count(*) FILTER (WHERE NOT l.remote) + count(DISTINCT l.worker) FILTER (WHERE l.remote))::integer AS workers,
    coalesce(sum(l.slots), 0)::integer AS slots,
    coalesce(sum(least(coalesce(busy.running, 0), l.slots)), 0)::integer AS running
FROM taskmill.lease AS l
LEFT JOIN busy ON busy.lease_id = l.id
WHERE l.closed_at IS NULL AND l.expires_at > clock_timestamp()
    AND ($1::text[] IS NULL OR cardinality(l.queues) = 0 OR l.queues && $1::text[])
