-- Purpose: one webhook that is about to be changed. $1 uuid. Locks: its row. Relies on the primary key.
SELECT
    id, url, description, queues, types, statuses, state, disabled_reason, failing_since, created_at,
    updated_at
FROM taskmill.webhook
WHERE id = $1 AND deleted_at IS NULL
FOR NO KEY UPDATE
