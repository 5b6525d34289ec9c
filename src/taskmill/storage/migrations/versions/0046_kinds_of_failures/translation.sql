-- What was counted before is named by the new kind, if the last task that failed so still shows its error. The kinds
-- are those of the steps of a day: 200 in each of 40 at most. A message of one line has the same kind as before.
-- It excludes folds, kind by kind.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT latest.error AS old_kind, taskmill.error_kind(t.error) AS new_kind
        FROM (
            SELECT DISTINCT ON (error) error, task_id FROM taskmill.failure
            WHERE step_s = 86400 AND error <> '*'
            ORDER BY error, last_at DESC
        ) AS latest
        INNER JOIN taskmill.task AS t ON t.id = latest.task_id
        WHERE t.error IS NOT NULL AND taskmill.error_shape(t.error) = latest.error
            AND taskmill.error_kind(t.error) <> latest.error
    LOOP
        PERFORM pg_advisory_xact_lock(hashtext('taskmill.failure'));
        WITH moved AS (
            DELETE FROM taskmill.failure WHERE error = one.old_kind
            RETURNING step_s, at, type, tasks, first_at, last_at, task_id
        )
        INSERT INTO taskmill.failure AS f (step_s, at, type, error, tasks, first_at, last_at, task_id)
        SELECT step_s, at, type, one.new_kind, tasks, first_at, last_at, task_id FROM moved
        ON CONFLICT (step_s, at, type, error) DO UPDATE
            SET tasks = f.tasks + excluded.tasks,
                first_at = least(f.first_at, excluded.first_at),
                last_at = greatest(f.last_at, excluded.last_at);
        WITH moved AS (
            DELETE FROM taskmill.queue_failure WHERE error = one.old_kind
            RETURNING step_s, queue, at, type, tasks, first_at, last_at, task_id
        )
        INSERT INTO taskmill.queue_failure AS f (step_s, queue, at, type, error, tasks, first_at, last_at, task_id)
        SELECT step_s, queue, at, type, one.new_kind, tasks, first_at, last_at, task_id FROM moved
        ON CONFLICT (step_s, queue, at, type, error) DO UPDATE
            SET tasks = f.tasks + excluded.tasks,
                first_at = least(f.first_at, excluded.first_at),
                last_at = greatest(f.last_at, excluded.last_at);
        UPDATE taskmill.failure_delta SET error = one.new_kind WHERE error = one.old_kind;
        COMMIT;
    END LOOP;
END $$;

INSERT INTO taskmill.failure_kind (id, kind, message, first_at, last_at, task_id)
SELECT
    left(md5(f.error), 16), f.error,
    coalesce((
        SELECT taskmill.message_shape(coalesce(t.error ->> 'message', '')) FROM taskmill.task AS t
        WHERE t.id = f.task_id AND taskmill.error_kind(t.error) = f.error
    ), ''),
    f.first_at, f.last_at, f.task_id
FROM (
    SELECT
        error, min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(task_id ORDER BY last_at DESC))[1] AS task_id
    FROM taskmill.failure
    WHERE step_s = 86400 AND error <> '*'
    GROUP BY error
) AS f
ON CONFLICT (id) DO NOTHING;
