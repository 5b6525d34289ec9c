-- Purpose: have tasks released again that were marked but never reached the broker. $1 uuid[].
-- Locks: dispatch (skips what others hold: they claim it, or release it anew).
WITH locked AS MATERIALIZED (
    SELECT ctid AS row_id FROM taskmill.dispatch
    WHERE task_id = ANY($1) AND released_at IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE taskmill.dispatch
SET released_at = NULL
WHERE ctid = ANY(ARRAY(SELECT row_id FROM locked))
RETURNING 1
