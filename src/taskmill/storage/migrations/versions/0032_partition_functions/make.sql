-- The first id of the week that a day is in: of Monday's first millisecond, as in domain/identity.py.
CREATE FUNCTION taskmill.first_id_of_week(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT rpad(
        lpad(to_hex((date_trunc('week', day::timestamp)::date - date '1970-01-01')::bigint * 86400000), 12, '0'),
        32, '0'
    )::uuid
$$;

-- The partitions that a week has, in the order in which they are locked. Not to_regclass(): it caches that a name is
-- missing beyond the wait for a lock.
CREATE FUNCTION taskmill.partitions_of_week(day date) RETURNS text[]
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(array_agg(parent || suffix ORDER BY place), '{}')
    FROM
        unnest(ARRAY['task', 'task_event', 'task_log']) WITH ORDINALITY AS parents (parent, place),
        to_char(day, '"_"IYYY"w"IW') AS suffix
    WHERE EXISTS (
        SELECT FROM pg_catalog.pg_class
        WHERE relname = parent || suffix AND relnamespace = 'taskmill'::regnamespace
    )
$$;

-- These run as their owner, and do no more than their names say: who may execute them owns no table.
--
-- The lock under which partitions change: the partitioned tables, their DEFAULT partitions and, if a week is given,
-- its own. Parents come first, as in every other statement.
CREATE FUNCTION taskmill.lock_partitions(day date DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.partitions'));
    LOCK TABLE
        ONLY taskmill.task, ONLY taskmill.task_event, ONLY taskmill.task_log,
        taskmill.task_default, taskmill.task_event_default, taskmill.task_log_default
        IN ACCESS EXCLUSIVE MODE;
    FOREACH child IN ARRAY taskmill.partitions_of_week(day) LOOP
        EXECUTE format('LOCK TABLE taskmill.%I IN ACCESS EXCLUSIVE MODE', child);
    END LOOP;
END
$$;

-- Makes a week's partition of one table. It is refused when the DEFAULT one has rows of that week.
CREATE FUNCTION taskmill.make_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF parent NOT IN ('task', 'task_event', 'task_log') THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format(
        'CREATE TABLE taskmill.%I PARTITION OF taskmill.%I FOR VALUES FROM (%L) TO (%L)',
        parent || to_char(day, '"_"IYYY"w"IW'), parent,
        taskmill.first_id_of_week(day), taskmill.first_id_of_week(day + 7)
    );
END
$$;

-- Makes it, and moves the rows of its week from the DEFAULT one (detach, move, attach); false if there are none.
CREATE FUNCTION taskmill.make_partition_with_rows(parent text, day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text := parent || to_char(day, '"_"IYYY"w"IW');
    net text := parent || '_default';
    span text := format(
        '%1$I >= %2$L AND %1$I < %3$L', CASE parent WHEN 'task' THEN 'id' ELSE 'task_id' END,
        taskmill.first_id_of_week(day), taskmill.first_id_of_week(day + 7)
    );
    has_rows boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM taskmill.%I WHERE %s)', net, span) INTO has_rows;
    IF has_rows THEN
        EXECUTE format('ALTER TABLE taskmill.%I DETACH PARTITION taskmill.%I', parent, net);
    END IF;
    PERFORM taskmill.make_partition(parent, day);
    IF has_rows THEN
        -- The guard on inserts is for new tasks: these are moved as they are.
        EXECUTE format('ALTER TABLE taskmill.%I DISABLE TRIGGER USER', child);
        EXECUTE format('INSERT INTO taskmill.%I SELECT * FROM taskmill.%I WHERE %s', child, net, span);
        EXECUTE format('ALTER TABLE taskmill.%I ENABLE TRIGGER USER', child);
        EXECUTE format('DELETE FROM taskmill.%I WHERE %s', net, span);
        EXECUTE format('ALTER TABLE taskmill.%I ATTACH PARTITION taskmill.%I DEFAULT', parent, net);
    END IF;
    RETURN has_rows;
END
$$;

REVOKE ALL ON FUNCTION
    taskmill.first_id_of_week, taskmill.partitions_of_week, taskmill.lock_partitions,
    taskmill.make_partition, taskmill.make_partition_with_rows
FROM PUBLIC;
