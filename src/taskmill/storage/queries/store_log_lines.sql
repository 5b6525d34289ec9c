-- Purpose: store a batch of log lines. The fence: each only if its claim is the task's latest, or was when the
-- line was written. So late lines are dropped, but not those of an attempt that is retried at once. The worker's
-- clock may differ from ours: a tenth of a second is allowed for that.
-- $1..$8: arrays, one element a line (see storage/task_log.py), or empty for nulls only.
-- Locks in order: no row of task or running; task_log (own new rows). The tables are named in the order in which
-- dropping a week locks them: task, task_event, task_log.
-- Relies on: the primary keys of task, running, task_event and task_log. Running it again with the same lines changes
-- nothing.
-- Returns: how many of the lines passed the fence: they are stored now, or were by an earlier run.
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[], $5::smallint[],
        $6::text[], $7::text[], $8::text[]
    ) AS input (task_id, claim_no, seq, at, level, logger, message, fields)
),
fenced AS MATERIALIZED (
    SELECT i.task_id, i.claim_no, i.seq, i.at, i.level, i.logger, i.message, i.fields
    FROM input AS i
    JOIN taskmill.task AS t ON t.id = i.task_id
    LEFT JOIN LATERAL (
        SELECT claim_no FROM taskmill.running WHERE task_id = i.task_id LIMIT 1
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT h.at
        FROM taskmill.task_history AS h
        WHERE coalesce(r.claim_no, t.claim_no) > i.claim_no
            AND h.task_id = i.task_id
            AND h.claim_no = i.claim_no + 1
            AND h.event = 'claimed'
        LIMIT 1
    ) AS superseded ON true
    WHERE coalesce(r.claim_no, t.claim_no) = i.claim_no OR i.at < superseded.at + interval '0.1 s'
),
stored AS (
    INSERT INTO taskmill.task_log (task_id, claim_no, seq, at, level, logger, message, fields)
    SELECT task_id, claim_no, seq, at, level, logger, message, fields::json FROM fenced
    ON CONFLICT DO NOTHING
)
SELECT count(*) AS fenced FROM fenced
