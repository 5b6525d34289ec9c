-- Purpose: live workers, and those that ended in the last hour, newest first, with what they run now; after them
-- the leases of those that pull over HTTP, one for each claim: open ones, and those that ran out.
-- $1 integer limit, $2 uuid only this one, also if it was lost in the last day (null: all), $3 text[]: only workers that serve one of these queues, and what
-- they run of these; null for all.
-- For moments a worker has more tasks in progress than slots, while ends are being written: the ended ones hold no
-- slot.
-- Reads only: all of `running`, like a round of rescue. What a lease's own row says about them is as old as its last
-- renewal.
WITH busy AS MATERIALIZED (
    SELECT lease_id, count(*)::integer AS running
    FROM taskmill.running
    WHERE $3::text[] IS NULL OR queue = ANY($3::text[])
    GROUP BY lease_id
)
SELECT
    l.id, l.worker, l.queues, l.types, l.slots, least(coalesce(busy.running, 0), l.slots) AS running, l.started_at,
    l.renewed_at, l.expires_at, l.closed_at, l.close_reason, l.request, l.remote, l.version,
    l.stop_when_empty, cardinality(l.lost_task_ids) AS lost_tasks,
    l.expires_at < clock_timestamp() AS expired
FROM taskmill.lease AS l
LEFT JOIN busy ON busy.lease_id = l.id
WHERE (
    l.closed_at IS NULL
    OR (l.closed_at > now() - interval '1 hour' AND (NOT l.remote OR l.close_reason = 'expired'))
    OR ($2::uuid IS NOT NULL AND NOT l.remote AND l.closed_at > now() - interval '1 day' AND l.close_reason = 'expired')
)
    AND ($2::uuid IS NULL OR l.id = $2)
    AND ($3::text[] IS NULL OR cardinality(l.queues) = 0 OR l.queues && $3::text[])
ORDER BY l.remote, l.id DESC
LIMIT $1
