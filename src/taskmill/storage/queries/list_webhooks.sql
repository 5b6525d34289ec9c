-- Purpose: all webhooks, oldest first. Reads only; relies on the primary key.
SELECT
    id, url, description, queues, types, statuses, state, disabled_reason, failing_since, created_at,
    updated_at
FROM taskmill.webhook
WHERE deleted_at IS NULL
ORDER BY id
