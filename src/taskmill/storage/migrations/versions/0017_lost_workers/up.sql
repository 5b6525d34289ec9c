ALTER TABLE taskmill.lease ADD COLUMN stop_when_empty boolean NOT NULL DEFAULT false;

ALTER TABLE taskmill.lease ADD COLUMN lost_task_ids uuid[] NOT NULL DEFAULT '{}';

-- Few rows: callbacks that were tried and not accepted.
CREATE INDEX webhook_delivery_failing ON taskmill.webhook_delivery (lane)
WHERE state = 'pending' AND trouble IS NOT NULL AND webhook_id IS NULL;

-- A traceback says what happened in its last line, all else in its first.
CREATE OR REPLACE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace(CASE
            WHEN starts_with(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 'Traceback') THEN regexp_replace(right(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '^.*[\r\n]', '')
            ELSE regexp_replace(left(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '[\r\n].*$', '')
        END, '\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$;

-- `failure` has some 51,000 rows at most, 200 for each step that is kept. So many, with errors of 1,800 characters,
-- took 25 s on a busy machine (2026-11-28). Only summing up failures waits meanwhile, and catches up.
SET LOCAL statement_timeout = '2min';

LOCK TABLE taskmill.failure IN SHARE ROW EXCLUSIVE MODE;

CREATE TEMPORARY TABLE renamed ON COMMIT DROP AS
SELECT
    f.step_s, f.at, f.type, f.error, f.tasks, f.first_at, f.last_at, f.task_id,
    taskmill.error_shape(t.error) AS name
FROM taskmill.failure AS f
INNER JOIN taskmill.task AS t ON t.id = f.task_id
WHERE f.type <> '*' AND t.error IS NOT NULL AND taskmill.error_shape(t.error) <> f.error;

DELETE FROM taskmill.failure AS f
USING renamed AS r
WHERE (f.step_s, f.at, f.type, f.error) = (r.step_s, r.at, r.type, r.error);

INSERT INTO taskmill.failure AS f (step_s, at, type, error, tasks, first_at, last_at, task_id)
SELECT
    step_s, at, type, name, sum(tasks), min(first_at), max(last_at), (array_agg(task_id ORDER BY last_at DESC))[1]
FROM renamed
GROUP BY step_s, at, type, name
ON CONFLICT (step_s, at, type, error) DO UPDATE SET
    tasks = f.tasks + excluded.tasks,
    first_at = least(f.first_at, excluded.first_at),
    last_at = greatest(f.last_at, excluded.last_at),
    task_id = CASE WHEN excluded.last_at > f.last_at THEN excluded.task_id ELSE f.task_id END;
