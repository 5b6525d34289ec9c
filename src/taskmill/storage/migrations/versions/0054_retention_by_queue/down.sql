-- Drops the partitions of a week, unless it has an unfinished task. Call it after lock_partitions, in its transaction.
-- It reads no task.
--
-- Nobody changes the week's tasks meanwhile, so all their counters are there. They get deltas that make them 0: another
-- process may be folding them. A task that was lost from both `dispatch` and `running` is still in a counter. A week
-- that has lines of the log alone was dropped by an earlier release, which did not know that table.
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
            INSERT INTO taskmill.task_count (queue, status, tasks, week)
            VALUES (counted.queue, counted.status, -counted.tasks, monday);
        END LOOP;
    END IF;
    FOREACH child IN ARRAY children LOOP
        EXECUTE format('DROP TABLE taskmill.%I', child);
    END LOOP;
END
$$;

DROP FUNCTION taskmill.prune_tasks;

DROP FUNCTION taskmill.is_week_kept;

DROP FUNCTION taskmill.refuse_changed_week;

DROP TABLE taskmill.pruned_queue;

ALTER TABLE taskmill.queue DROP COLUMN keep;
