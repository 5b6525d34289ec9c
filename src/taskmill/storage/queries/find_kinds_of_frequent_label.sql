-- Purpose: the kinds of error by which tasks failed that have a label which very many have: of each of the latest
-- kinds only the newest tasks are looked at. $1 jsonb: the label, $2 uuid: the lowest id, $3 text[]: only in these
-- queues, null for all; $4 integer: how many kinds, $5 integer: how many tasks of each.
-- Reads only; relies on task_error_kind, in its order.
SELECT latest.kind
FROM (SELECT kind FROM taskmill.failure_kind ORDER BY last_at DESC, id LIMIT $4) AS latest
WHERE EXISTS (
    SELECT FROM (
        SELECT queue, labels, final_status FROM taskmill.task
        WHERE taskmill.error_kind(error) = latest.kind AND error IS NOT NULL AND id >= $2
        ORDER BY id DESC
        LIMIT $5
    ) AS newest
    WHERE final_status = 'failed' AND labels @> $1 AND ($3::text[] IS NULL OR queue = ANY($3))
)
