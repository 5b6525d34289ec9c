-- Purpose: forget all that was ever released, as when the broker may have lost everything. Returns how many.
-- Locks: dispatch (skips what others hold). Reads the whole of dispatch, once after a broker was away.
WITH locked AS MATERIALIZED (
    SELECT ctid AS place FROM taskmill.dispatch
    WHERE released_at IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
),
unmarked AS (
    UPDATE taskmill.dispatch
    SET released_at = NULL
    WHERE ctid = ANY(ARRAY(SELECT place FROM locked))
    RETURNING 1
)
SELECT count(*)::integer FROM unmarked
