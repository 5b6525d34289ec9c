-- Purpose: add failures to the rows of their steps, one of each length, of all queues and of their queue. Atomic: each
-- failure counts once, whatever crashes. Also notes each kind that is counted separately, when it was first seen and
-- last.
-- $1 integer: most to take at once, $2 integer: most kinds of failures in a step; the others count as *. $3
-- integer[]: the lengths of steps in s. $4 integer: most kinds of failures of a queue in a step.
-- Runs after lock_failures in the same transaction, or the limits would not hold. Locks: the deltas that are taken
-- (skips those of transactions in flight), rows of `failure`, of `failure_kind` and of `queue_failure` in the order of
-- their keys. Relies on: the primary keys, also of task for kinds that are new. Returns how many were taken.
WITH folded AS (
    DELETE FROM taskmill.failure_delta
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM taskmill.failure_delta LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING at, queue, type, error, task_id
),
grouped AS MATERIALIZED (
    SELECT
        step_s, date_bin(make_interval(secs => step_s), at, '2000-01-01 00:00:00+00') AS step_at, type, error,
        count(*) AS tasks, min(at) AS first_at, max(at) AS last_at,
        (array_agg(task_id ORDER BY at DESC))[1] AS task_id
    FROM folded CROSS JOIN unnest($3::integer[]) AS step (step_s)
    GROUP BY 1, 2, 3, 4
),
known AS MATERIALIZED (
    SELECT f.step_s, f.at AS step_at, f.type, f.error
    FROM (SELECT DISTINCT step_s, step_at FROM grouped) AS touched
    JOIN taskmill.failure AS f ON f.step_s = touched.step_s AND f.at = touched.step_at
),
crowd AS (
    SELECT step_s, step_at, count(*) AS kinds FROM known WHERE type <> '*' GROUP BY 1, 2
),
-- A kind that has a row keeps it; of the new ones, the most frequent get one as long as there is room.
labelled AS (
    SELECT
        grouped.step_s, grouped.step_at, grouped.type, grouped.error, grouped.tasks, grouped.first_at, grouped.last_at, grouped.task_id,
        known.type IS NOT NULL OR coalesce(crowd.kinds, 0) + row_number() OVER (
            PARTITION BY grouped.step_s, grouped.step_at, known.type IS NULL
            ORDER BY grouped.tasks DESC, grouped.type, grouped.error
        ) <= $2::integer AS has_room
    FROM grouped
    LEFT JOIN known USING (step_s, step_at, type, error)
    LEFT JOIN crowd USING (step_s, step_at)
),
stored AS (
    INSERT INTO taskmill.failure AS f (step_s, at, type, error, tasks, first_at, last_at, task_id)
    SELECT
        step_s, step_at, CASE WHEN has_room THEN type ELSE '*' END, CASE WHEN has_room THEN error ELSE '*' END,
        sum(tasks), min(first_at), max(last_at), (array_agg(task_id ORDER BY last_at DESC))[1]
    FROM labelled
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (step_s, at, type, error) DO UPDATE
        SET tasks = f.tasks + excluded.tasks,
            first_at = least(f.first_at, excluded.first_at),
            task_id = CASE WHEN excluded.last_at >= f.last_at THEN excluded.task_id ELSE f.task_id END,
            last_at = greatest(f.last_at, excluded.last_at)
),
-- Each failure is in one step of a day.
noted AS (
    SELECT
        left(md5(error), 16) AS id, error AS kind, min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(task_id ORDER BY last_at DESC))[1] AS task_id
    FROM labelled
    WHERE has_room AND step_s = 86400
    GROUP BY error
),
registered AS (
    INSERT INTO taskmill.failure_kind AS k (id, kind, message, first_at, last_at, task_id)
    SELECT
        noted.id, noted.kind,
        CASE WHEN EXISTS (SELECT FROM taskmill.failure_kind AS known WHERE known.id = noted.id) THEN ''
        ELSE coalesce((
            SELECT taskmill.message_shape(coalesce(t.error ->> 'message', '')) FROM taskmill.task AS t
            WHERE t.id = noted.task_id AND taskmill.error_kind(t.error) = noted.kind
        ), '') END,
        noted.first_at, noted.last_at, noted.task_id
    FROM noted
    ORDER BY noted.id
    ON CONFLICT (id) DO UPDATE
        SET first_at = least(k.first_at, excluded.first_at),
            task_id = CASE WHEN excluded.last_at >= k.last_at THEN excluded.task_id ELSE k.task_id END,
            last_at = greatest(k.last_at, excluded.last_at)
),
-- The same by queue, each with a limit of its own: what happens in one changes nothing of another.
grouped_by_queue AS MATERIALIZED (
    SELECT
        step_s, queue, date_bin(make_interval(secs => step_s), at, '2000-01-01 00:00:00+00') AS step_at, type, error,
        count(*) AS tasks, min(at) AS first_at, max(at) AS last_at,
        (array_agg(task_id ORDER BY at DESC))[1] AS task_id
    FROM folded CROSS JOIN unnest($3::integer[]) AS step (step_s)
    WHERE queue IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
),
known_of_queue AS MATERIALIZED (
    SELECT f.step_s, f.queue, f.at AS step_at, f.type, f.error
    FROM (SELECT DISTINCT step_s, queue, step_at FROM grouped_by_queue) AS touched
    JOIN taskmill.queue_failure AS f
        ON f.step_s = touched.step_s AND f.queue = touched.queue AND f.at = touched.step_at
),
crowd_of_queue AS (
    SELECT step_s, queue, step_at, count(*) AS kinds FROM known_of_queue WHERE type <> '*' GROUP BY 1, 2, 3
),
labelled_by_queue AS (
    SELECT
        one.step_s, one.queue, one.step_at, one.type, one.error, one.tasks, one.first_at, one.last_at, one.task_id,
        known.type IS NOT NULL OR coalesce(crowd.kinds, 0) + row_number() OVER (
            PARTITION BY one.step_s, one.queue, one.step_at, known.type IS NULL
            ORDER BY one.tasks DESC, one.type, one.error
        ) <= $4::integer AS has_room
    FROM grouped_by_queue AS one
    LEFT JOIN known_of_queue AS known USING (step_s, queue, step_at, type, error)
    LEFT JOIN crowd_of_queue AS crowd USING (step_s, queue, step_at)
),
stored_by_queue AS (
    INSERT INTO taskmill.queue_failure AS f (step_s, queue, at, type, error, tasks, first_at, last_at, task_id)
    SELECT
        step_s, queue, step_at, CASE WHEN has_room THEN type ELSE '*' END, CASE WHEN has_room THEN error ELSE '*' END,
        sum(tasks), min(first_at), max(last_at), (array_agg(task_id ORDER BY last_at DESC))[1]
    FROM labelled_by_queue
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (step_s, queue, at, type, error) DO UPDATE
        SET tasks = f.tasks + excluded.tasks,
            first_at = least(f.first_at, excluded.first_at),
            task_id = CASE WHEN excluded.last_at >= f.last_at THEN excluded.task_id ELSE f.task_id END,
            last_at = greatest(f.last_at, excluded.last_at)
)
SELECT count(*) AS taken FROM folded
