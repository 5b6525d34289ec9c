-- Purpose: the next tasks of a week for its archive, as JSON with their history and their log. $1 uuid: from this id on,
-- $2 uuid: before this one, $3 integer: most tasks, $4 bigint: after so many bytes of payloads, results and logs, as they
-- are stored, no further task is read; the first one always is. Reads only; relies on the primary keys.
-- The size of what is stored apart is known without reading it. Whitespace of a payload may have line ends; within strings
-- JSON has none.
WITH candidate AS MATERIALIZED (
    SELECT
        t.id,
        coalesce(pg_column_size(t.payload), 0) + coalesce(pg_column_size(t.result), 0) + (
            SELECT coalesce(sum(pg_column_size(l.message) + coalesce(pg_column_size(l.fields), 0)), 0)
            FROM taskmill.task_log AS l
            WHERE l.task_id = t.id AND l.task_id >= $1 AND l.task_id < $2
        ) AS bytes
    FROM taskmill.task AS t
    WHERE t.id >= $1 AND t.id < $2
    ORDER BY t.id
    LIMIT $3
),
fitting AS MATERIALIZED (
    SELECT id
    FROM (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before FROM candidate) AS sized
    WHERE bytes_before <= $4::bigint
),
part AS MATERIALIZED (
    SELECT
        id, number, name, description, type, payload, payload_secrets, queue, priority, final_status AS status, run,
        attempt, max_attempts, losses, max_losses, cancel_requested, run_at, created_at, started_at, finished_at,
        updated_at, expires_at, timeout_s, retry, result, error, labels, source, traceparent, version, claim_no
    FROM taskmill.task
    -- Not up to the last of them: without a limit the planner may read all of the week.
    WHERE id = ANY(ARRAY(SELECT id FROM fitting)) AND id >= $1 AND id < $2
)
SELECT
    part.id,
    translate(
        json_build_object(
            'task', to_json(part),
            'history', (
                SELECT coalesce(json_agg(to_json(h) ORDER BY h.version), '[]')
                FROM (
                    SELECT
                        version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason,
                        error
                    FROM taskmill.task_history
                    WHERE task_id = part.id
                ) AS h
            ),
            'log', (
                SELECT coalesce(json_agg(to_json(l) ORDER BY l.claim_no, l.seq), '[]')
                FROM (
                    SELECT claim_no, seq, at, level, logger, message, fields
                    FROM taskmill.task_log
                    WHERE task_id = part.id
                ) AS l
            )
        )::text,
        E'\n\r', '  '
    ) AS line
FROM part
ORDER BY part.id
