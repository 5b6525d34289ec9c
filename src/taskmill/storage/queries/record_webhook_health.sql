-- Purpose: record which webhooks took something, and since when others have failed; disable those that have failed
-- for too long. $1 uuid[] that took something, $2 uuid[] that failed, $3 double precision: how many seconds are
-- too long.
-- Locks: the webhooks' rows, in order of their ids; only of those that change. Relies on the primary key.
-- Returns the ones that it disabled.
WITH changing AS MATERIALIZED (
    SELECT id, id = ANY($1) AS has_succeeded, failing_since
    FROM taskmill.webhook
    WHERE id = ANY($1 || $2)
        AND state <> 'disabled'
        AND CASE
            WHEN id = ANY($1) THEN failing_since IS NOT NULL
            ELSE failing_since IS NULL OR failing_since < now() - make_interval(secs => $3)
        END
    ORDER BY id
    FOR NO KEY UPDATE
),
noted AS (
    UPDATE taskmill.webhook AS w
    SET failing_since = CASE WHEN NOT changing.has_succeeded THEN coalesce(w.failing_since, now()) END,
        state = CASE
            WHEN changing.has_succeeded OR changing.failing_since IS NULL THEN w.state ELSE 'disabled'
        END,
        disabled_reason = CASE
            WHEN changing.has_succeeded OR changing.failing_since IS NULL THEN w.disabled_reason
            ELSE 'it has taken nothing since ' || to_char(changing.failing_since, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        END
    FROM changing
    WHERE w.id = changing.id
    RETURNING w.id, w.state, w.disabled_reason
)
SELECT id, disabled_reason FROM noted WHERE state = 'disabled'
