-- Drops the partitions of a week, unless it has an unfinished task. Call it after lock_partitions, in its transaction.
-- It reads no task.
--
-- Nobody changes the week's tasks meanwhile, so all their counters are there. They get deltas that make them 0: another
-- process may be folding them. A task that was lost from both `dispatch` and `running` is still in a counter. A week
-- that has lines of the log alone was dropped by an earlier release, which did not know that table. A week stays as long
-- as a queue that has tasks in it keeps them for its own time, whatever the settings of the process are that calls this.
CREATE OR REPLACE FUNCTION taskmill.drop_week(day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    monday date := date_trunc('week', day::timestamp)::date;
    first_id uuid := taskmill.first_id_of_week(day);
    end_id uuid := taskmill.first_id_of_week(day + 7);
    children text[] := taskmill.partitions_of_week(day);
    counted record;
    child text;
BEGIN
    IF children = '{}' THEN
        RAISE EXCEPTION 'the week of % has no partitions', monday USING ERRCODE = 'undefined_table';
    END IF;
    IF 'task' || to_char(day, '"_"IYYY"w"IW') = ANY (children) THEN
        IF EXISTS (SELECT FROM taskmill.dispatch WHERE task_id >= first_id AND task_id < end_id)
            OR EXISTS (SELECT FROM taskmill.running WHERE task_id >= first_id AND task_id < end_id)
        THEN
            RAISE EXCEPTION 'it holds unfinished tasks';
        END IF;
        FOR counted IN
            SELECT queue, status, sum(tasks)::bigint AS tasks
            FROM (
                SELECT queue, status, tasks FROM taskmill.task_week_count WHERE week = monday
                UNION ALL
                SELECT queue, status, tasks FROM taskmill.task_count WHERE week = monday
            ) AS known
            GROUP BY queue, status
            HAVING sum(tasks) <> 0
        LOOP
            IF counted.status IN ('new', 'in_progress') THEN
                RAISE EXCEPTION 'its counters have unfinished tasks that neither wait nor run';
            END IF;
            IF counted.tasks > 0 AND EXISTS (
                SELECT FROM taskmill.queue AS q
                WHERE q.name = counted.queue
                    AND q.keep > now() - (monday + 7)::timestamp AT TIME ZONE 'UTC'
            ) THEN
                RAISE EXCEPTION 'queue % keeps its tasks for longer', counted.queue;
            END IF;
            INSERT INTO taskmill.task_count (queue, status, tasks, week)
            VALUES (counted.queue, counted.status, -counted.tasks, monday);
        END LOOP;
    END IF;
    FOREACH child IN ARRAY children LOOP
        EXECUTE format('DROP TABLE taskmill.%I', child);
    END LOOP;
END
$$;

-- Refuses a week of which something has changed after a position of the feed: an archive that was written then lacks
-- it. Call it after lock_partitions: nobody changes the week's tasks then. The changes since are few, if those until
-- shortly before were looked through without the lock.
CREATE OR REPLACE FUNCTION taskmill.refuse_changed_week(day date, since bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_id uuid := taskmill.first_id_of_week(day);
    end_id uuid := taskmill.first_id_of_week(day + 7);
BEGIN
    IF EXISTS (
        SELECT FROM taskmill.change_batch AS b
        WHERE b.position > since
            AND EXISTS (SELECT FROM unnest(b.task_ids) AS changed (id) WHERE id >= first_id AND id < end_id)
    ) OR EXISTS (
        SELECT FROM taskmill.change_batch AS b
        WHERE b.position IS NULL
            AND EXISTS (SELECT FROM unnest(b.task_ids) AS changed (id) WHERE id >= first_id AND id < end_id)
    ) THEN
        RAISE EXCEPTION 'its tasks have changed since it was archived';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION taskmill.refuse_changed_week FROM PUBLIC;

-- Whether a week stays, as a queue that has ended tasks in it keeps them for its own time, which is not over for all of
-- them. It reads counters only: those without a week, of long ago, say nothing.
CREATE OR REPLACE FUNCTION taskmill.is_week_kept(monday date) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT
        FROM (
            SELECT queue, tasks FROM taskmill.task_week_count
            WHERE week = monday AND status NOT IN ('new', 'in_progress')
            UNION ALL
            SELECT queue, tasks FROM taskmill.task_count
            WHERE week = monday AND status NOT IN ('new', 'in_progress')
        ) AS known
        JOIN taskmill.queue AS q ON q.name = known.queue
        WHERE q.keep > now() - (monday + 7)::timestamp AT TIME ZONE 'UTC'
        GROUP BY known.queue
        HAVING sum(known.tasks) > 0
    )
$$;

REVOKE ALL ON FUNCTION taskmill.is_week_kept FROM PUBLIC;
