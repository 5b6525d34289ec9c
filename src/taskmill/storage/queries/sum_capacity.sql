-- Purpose: capacity: live workers, their slots, and how many of these are taken. For moments a worker has more
-- tasks in progress than slots, while ends are being written.
-- A worker that pulls over HTTP has a lease for each claim, so it is counted by its name.
-- Reads only; relies on lease_open, and reads all of `running`, like a round of rescue.
WITH busy AS MATERIALIZED (
    SELECT lease_id, count(*)::integer AS running
    FROM taskmill.running
    GROUP BY lease_id
)
SELECT
    (count(*) FILTER (WHERE NOT l.remote) + count(DISTINCT l.worker) FILTER (WHERE l.remote))::integer AS workers,
    coalesce(sum(l.slots), 0)::integer AS slots,
    coalesce(sum(least(coalesce(busy.running, 0), l.slots)), 0)::integer AS running
FROM taskmill.lease AS l
LEFT JOIN busy ON busy.lease_id = l.id
WHERE l.closed_at IS NULL AND l.expires_at > clock_timestamp()
