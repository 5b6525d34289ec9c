-- Deletes those of some tasks that have ended and are past the time that they are kept, with their history, log,
-- progress and callback; returns how many. It checks that by itself, whatever it is asked for, and by the database's clock:
-- a task of a queue with a time of its own ended longer ago than that; any other one ended longer ago than `others_keep`,
-- its week ended longer ago than that and than a week, and is there only as a queue keeps it for longer. Null for
-- `others_keep` deletes only the former. A task whose callback is still to be delivered stays for that. Idempotency keys
-- stay until they run out: they never stand for a second task. Nothing is written to the feed: a task that goes with its
-- week leaves no change either.
-- Locks in order: task (in the order of ids, skipping what others hold), event, count, pruned_queue. Relies on the primary
-- keys and webhook_delivery_callback. Bounds of ids name the partitions before anything is read.
CREATE OR REPLACE FUNCTION taskmill.prune_tasks(ids uuid[], others_keep interval) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    most constant integer = 1000;
    first_id constant uuid = (SELECT i FROM unnest(ids) AS given (i) ORDER BY i LIMIT 1);
    last_id constant uuid = (SELECT i FROM unnest(ids) AS given (i) ORDER BY i DESC LIMIT 1);
    kept_weeks date[] = '{}';
    ended uuid[];
    pruned integer;
BEGIN
    IF cardinality(ids) > most THEN
        RAISE EXCEPTION 'at most % tasks are deleted at once', most USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF others_keep < interval '1 day' THEN
        RAISE EXCEPTION 'tasks are kept for a day at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF others_keep IS NOT NULL THEN
        SELECT coalesce(array_agg(w.week), '{}') INTO kept_weeks
        FROM (
            SELECT DISTINCT taskmill.week_of(i) AS week FROM unnest(ids) AS given (i)
        ) AS w
        WHERE (w.week + 7)::timestamp AT TIME ZONE 'UTC' <= now() - greatest(others_keep, interval '7 days')
            AND taskmill.is_week_kept(w.week);
    END IF;
    SELECT coalesce(array_agg(locked.id ORDER BY locked.id), '{}') INTO ended
    FROM (
        SELECT t.id
        FROM taskmill.task AS t
        LEFT JOIN taskmill.queue AS q ON q.name = t.queue
        WHERE t.id = ANY (ids) AND t.id >= first_id AND t.id <= last_id
            AND t.final_status IS NOT NULL
            AND CASE
                WHEN q.keep IS NOT NULL THEN t.finished_at < now() - q.keep
                ELSE t.finished_at < now() - others_keep AND taskmill.week_of(t.id) = ANY (kept_weeks)
            END
            AND (SELECT r.claim_no FROM taskmill.running AS r WHERE r.task_id = t.id) IS NULL
            AND (SELECT d.priority FROM taskmill.dispatch AS d WHERE d.task_id = t.id) IS NULL
            AND (
                SELECT w.id FROM taskmill.webhook_delivery AS w
                WHERE w.task_id = t.id AND w.webhook_id IS NULL AND w.state = 'pending'
                LIMIT 1
            ) IS NULL
        ORDER BY t.id
        FOR UPDATE OF t SKIP LOCKED
    ) AS locked;
    IF ended = '{}' THEN
        RETURN 0;
    END IF;
    DELETE FROM taskmill.task_event WHERE task_id = ANY (ended) AND task_id >= first_id AND task_id <= last_id;
    DELETE FROM taskmill.task_log WHERE task_id = ANY (ended) AND task_id >= first_id AND task_id <= last_id;
    DELETE FROM taskmill.task_progress WHERE task_id = ANY (ended);
    DELETE FROM taskmill.task_callback WHERE task_id = ANY (ended);
    WITH gone AS (
        DELETE FROM taskmill.task WHERE id = ANY (ended) AND id >= first_id AND id <= last_id
        RETURNING id, queue, final_status, created_at
    ),
    counted AS (
        INSERT INTO taskmill.task_count (queue, status, tasks, week)
        SELECT g.queue, g.final_status, -count(*), taskmill.week_of(g.id) FROM gone AS g GROUP BY 1, 2, 4
    ),
    noted AS (
        INSERT INTO taskmill.pruned_queue AS known (queue, created_before)
        SELECT g.queue, max(g.created_at) + interval '1 millisecond' FROM gone AS g GROUP BY 1 ORDER BY 1
        ON CONFLICT (queue) DO UPDATE SET created_before = excluded.created_before
        WHERE known.created_before < excluded.created_before
    )
    SELECT count(*) INTO pruned FROM gone;
    RETURN pruned;
END
$$;

REVOKE ALL ON FUNCTION taskmill.prune_tasks FROM PUBLIC;
